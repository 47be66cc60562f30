"""Measure what fine-tuning gains on a new domain: low-resolution mouths and telephone audio.

python benchmarks/sync/fine_tuning.py --data STORE --splits FILE --work FOLDER [--steps 100]
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from scipy.signal import butter, sosfilt

from avsync.data.store.reader import PreparedClip, Store
from avsync.data.store.records import SourceRecord
from avsync.data.store.splits import clips_of_split
from avsync.data.store.writer import SourceWriter, write_tables
from avsync.timing import SAMPLE_RATE
from avsync.training.data.sync import ClipData
from avsync.training.engine.settings import LoopSettings
from avsync.training.recipes.sync.fine_tune import FIGURES_FILE, FineTuneRecipe, train
from benchmarks.record import write_record

SMALL_PX, CROP_PX = 14, 96
BAND_HZ = (300, 3400)
NOISE_DB = 15.0


def degrade(clip: PreparedClip, seed: int) -> dict[str, np.ndarray]:
    """Downscale the mouth crops to `SMALL_PX`, band-pass the audio and add noise."""
    small = [
        cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA) for crop in clip.mouth
    ]
    mouth = np.stack([cv2.resize(crop, (CROP_PX, CROP_PX)) for crop in small])
    band = butter(4, BAND_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    wav = sosfilt(band, np.asarray(clip.wav_16k))
    noise = np.random.default_rng(seed).normal(size=len(wav))
    wav = wav + noise * np.sqrt((wav**2).mean()) * 10 ** (-NOISE_DB / 20)
    return {"mouth": mouth, "face": mouth, "wav_16k": wav, "wav": wav}


def write_degraded(store: Store, indices: list[int], path: Path) -> None:
    """Write a store of the options clips, degraded."""
    records = {}
    for index in indices:
        clip, row = store[index], store.rows[index]
        key = clip.id.rpartition(".")[0]
        arrays = {**degrade(clip, index), "boxes": clip.boxes, "points": clip.points}
        with SourceWriter(path, key) as writer:
            for name, values in arrays.items():
                writer.array(0, name).append(np.asarray(values))
            info = row._replace(id=f"{key}.0", track=0, sample_rate=SAMPLE_RATE)
            records[key] = SourceRecord(row.source, (info,))
            writer.finish(records[key])
    write_tables(path, records)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=80)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--corpus-offset-ms", "--zero-ms", type=float, default=20.0)
    options = parser.parse_args()
    store, degraded = Store(options.data), options.work / "degraded"
    indices = clips_of_split(store, options.splits, "train")[: options.clips]
    indices += clips_of_split(store, options.splits, "val")[:20]
    write_degraded(store, indices, degraded)
    rows = {}
    for encoders in ("frozen", "last", "all"):
        started_s = time.monotonic()
        output = options.work / encoders
        train(
            FineTuneRecipe(
                clips=ClipData(
                    data=(degraded,),
                    splits=options.splits,
                    corpus_offset_ms=(options.corpus_offset_ms,),
                    batch=8,
                ),
                loop=LoopSettings(
                    output=output,
                    steps=options.steps,
                    lr=3e-4,
                    warmup=10,
                    ema=0.9,
                    validate_every=0,
                ),
                encoders=encoders,  # type: ignore[arg-type]
            )
        )
        figures = json.loads((output / FIGURES_FILE).read_text())
        rows[encoders] = figures | {"seconds": round(time.monotonic() - started_s)}
        print(encoders, rows[encoders], flush=True)
    figures = {"data": options.data.name, "clips": options.clips, "steps": options.steps, "seed": 0}
    print(f"written to {write_record('sync/fine_tuning', {**figures, 'encoders': rows})}")


if __name__ == "__main__":
    main()
