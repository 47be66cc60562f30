"""Measure training steps per second of Y-Net-mr-V with cached visual features and without.

    python benchmarks/separation/feature_cache_speed.py [--batch 2] [--steps 3]

Both loops train on the same mixtures of 4 s with VocaLiST's visual encoder, frozen, and the U-Net
at full size, by SGD on one thread. A step is making the batch, the loss, the backward pass and the
update. The clips are noise, which costs as much as faces. The loops take turns; steps per second
are by CPU time, which depends less on other programs. Wall time is recorded as well.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from avsync.data.cache.audio import AudioCache
from avsync.data.cache.features import FeatureCache, encoder_key
from avsync.data.sampling.mixtures import MixtureLevels, Mixtures
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.data.store.reader import CROP_SIZE, Store
from avsync.data.store.records import ClipInfo, SourceRecord
from avsync.data.store.writer import SourceWriter, write_tables
from avsync.tasks.registry import create_model
from avsync.tasks.separation.ynet import YNet
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME
from avsync.training.data.mixtures import mixture_batches
from avsync.training.engine.batches import Parts, as_floats
from avsync.training.engine.optimizer import make_optimizer
from avsync.training.engine.settings import LoopSettings
from avsync.training.steps.mask import MaskStep
from benchmarks.record import machine, write_record

CLIPS, FRAMES = 2, 110


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=2, help="mixtures per step")
    parser.add_argument("--steps", type=int, default=3, help="measured steps of each loop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as work:
        result = measure(Path(work), arguments.batch, arguments.steps)
    print(machine())
    for name, steps in result["steps_per_s"].items():
        print(f"{name:9} {steps:7.3f} steps/s")
    print(f"ratio {result['ratio']} (by wall clock {result['ratio_by_wall_clock']})")
    print(f"a clip of {FRAMES} frames is encoded once, in {result['encoding_s_per_clip']} s")
    write_record("separation/feature_cache_speed", result)


def measure(work: Path, batch: int, steps: int) -> dict[str, object]:
    """Time both loops on the same mixtures; the first step opens files and does not count."""
    model = create_model("ynet_v", config={"sources": 3, "frozen": True}).train()
    assert isinstance(model, YNet)
    audio = AudioCache(work / "sounds", model.spec.sample_rate)
    store = noise_store(work / "store")
    faces = SeparationTargets([FaceSource(store, range(CLIPS))], model.spec, audio)
    mixtures = Mixtures(faces, levels=MixtureLevels(second_share=1.0))
    key = encoder_key(model.visual, {"model": "ynet_v"})
    features = FeatureCache(work / "features", key, model.spec)
    started_s = time.process_time()
    features.fill(mixtures.crop_files(), model.visual, torch.device("cpu"))
    encoding_s = (time.process_time() - started_s) / CLIPS
    loops = {
        "cached": stepper(
            MaskStep(model, tokens=True), Parts(mixture_batches(mixtures, batch, features), 0, 99)
        ),
        "uncached": stepper(MaskStep(model), Parts(mixture_batches(mixtures, batch), 0, 99)),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
    for number in range(steps + 1):
        for name, step in loops.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step(number)
            found[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu_s, wall_s = (
        {name: float(np.median([row[k] for row in rows[1:]])) for name, rows in found.items()}
        for k in (0, 1)
    )
    return {
        "batch": batch,
        "steps": steps,
        "seconds_of_a_mixture": 4,
        "steps_per_s": {name: round(1 / step_s, 4) for name, step_s in cpu_s.items()},
        "ratio": round(cpu_s["uncached"] / cpu_s["cached"], 1),
        "ratio_by_wall_clock": round(wall_s["uncached"] / wall_s["cached"], 1),
        "encoding_s_per_clip": round(encoding_s, 2),
    }


def stepper(task: MaskStep, parts: Parts) -> Callable[[int], None]:
    """Return a function that does the training step of a given number."""
    settings = LoopSettings(Path(), lr=1e-4, optimizer="sgd", weight_decay=1e-5)
    optimizer = make_optimizer(task, settings)

    def step(number: int) -> None:
        optimizer.zero_grad()
        task(*as_floats(parts[number].tensors)).backward()
        optimizer.step()

    return step


def noise_store(path: Path) -> Store:
    """Write a store of clips whose frames and audio are noise."""
    rng = np.random.default_rng(0)
    records = {}
    for number in range(CLIPS):
        row = {"id": f"{number}.0", "source": f"noise/{number}.mp4", "speaker": "noise"}
        row |= {"track": 0, "frames": FRAMES, "start_s": 0.0, "face_px": 96.0, "score": 1.0}
        row |= {"sample_rate": SAMPLE_RATE}
        face = rng.integers(0, 256, (FRAMES, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
        wav = rng.normal(0, 0.1, FRAMES * SAMPLES_PER_FRAME).astype(np.float32)
        arrays = {"face": face, "mouth": face, "wav_16k": wav, "wav": wav}
        arrays |= {"boxes": np.zeros((FRAMES, 4)), "points": np.zeros((FRAMES, 5, 2))}
        with SourceWriter(path, str(number)) as writer:
            for name, values in arrays.items():
                writer.array(0, name).append(values)
            records[str(number)] = SourceRecord(row["source"], (ClipInfo(**row),))
            writer.finish(records[str(number)])
    write_tables(path, records)
    return Store(path)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
