"""Measure the throughput of training data: prepared stores against folders of JPEGs.

    python benchmarks/sync/loader_speed.py --data STORE [--clips 200]

Both loaders make batches of 128 pairs of 5 frames from the same clips, in alternation, in one
process with one thread and with the files in the page cache. A store's frames stay uint8 until they
are on the device; the JPEG loader returns floats, like the public loaders. Windows per second are
per worker and by CPU time, which depends less on other programs; wall time is recorded as well.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from avsync.data.store.reader import Store
from avsync.tasks.registry import create_model
from avsync.tasks.sync.vocalist import Vocalist
from avsync.training.data.sync import ClipData
from avsync.training.data.sync_batches import Negatives, audio_range_of_frames, pair_batches
from benchmarks.record import machine, write_record
from benchmarks.sync.jpeg_folder import JpegFolderPairs, write_folder

BATCH = 128
# Batches of a store in a round, so that both loaders' rounds take about as long.
STORE_BATCHES = 40
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="store of prepared clips")
    parser.add_argument("--clips", type=int, default=200, help="number of clips to draw from")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as work:
        loaders = {
            "store": store_batches(arguments.data, arguments.clips, Path(work)),
            "jpeg_folder": jpeg_batches(arguments.data, arguments.clips, Path(work)),
        }
        rounds = measure(loaders)
    first = {name: per_s(rows[:1], 0) for name, rows in rounds.items()}
    figures = {name: rows[1:] for name, rows in rounds.items()}
    cpu = {name: [cpu_s for cpu_s, _ in rows] for name, rows in figures.items()}
    ratios = [jpegs / store for jpegs, store in zip(cpu["jpeg_folder"], cpu["store"], strict=True)]
    result = {
        "clips": arguments.clips,
        "frames_per_window": 5,
        "windows_per_s": {name: per_s(rows, 0) for name, rows in figures.items()},
        "windows_per_s_in_the_first_round": first,
        "windows_per_s_by_wall_clock": {name: per_s(rows, 1) for name, rows in figures.items()},
        "ratio": round(float(np.median(ratios)), 1),
        "ratio_of_each_round": [round(ratio, 1) for ratio in ratios],
    }
    print(machine())
    for name, windows in result["windows_per_s"].items():
        print(f"{name:12} {windows:8.0f} windows/s and worker")
    print(f"ratio {result['ratio']} (rounds: {result['ratio_of_each_round']})")
    write_record("sync/loader_speed", result)


def store_batches(data: Path, clips: int, work: Path) -> Callable[[np.random.Generator], object]:
    """Return a function that makes batches like `avsync train vocalist`, from the first clips."""
    part = work / "store"
    part.mkdir()
    rows = (data / "clips.jsonl").read_text(encoding="utf-8").splitlines()[:clips]
    (part / "clips.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (part / "clips").symlink_to((data / "clips").resolve())
    model = create_model("vocalist", config={"channels": (2, 3, 4, 5, 8), "depth": 1, "heads": 2})
    assert isinstance(model, Vocalist)
    recipe = ClipData((part,), batch=BATCH)
    batches = pair_batches(recipe, Negatives(), model.spec, audio_range_of_frames(5))
    generator = torch.Generator()
    return lambda rng: batches.at(1.0)(rng, generator)


def jpeg_batches(data: Path, clips: int, work: Path) -> Callable[[np.random.Generator], object]:
    """Return a function that makes batches of the same clips, written as folders of JPEGs."""
    store = Store(data)
    folders = [work / "jpegs" / store.rows[k].id for k in range(min(clips, len(store)))]
    for k, folder in enumerate(folders):
        write_folder(store[k], folder)
    pairs = JpegFolderPairs(folders)

    def make(rng: np.random.Generator) -> object:
        drawn = [pairs.draw(rng) for _ in range(BATCH)]
        frames = torch.stack([torch.from_numpy(frames) for frames, _, _ in drawn])
        wav = torch.stack([torch.from_numpy(wav) for _, wav, _ in drawn])
        return frames, wav, torch.tensor([label for _, _, label in drawn])

    return make


def measure(
    loaders: dict[str, Callable[[np.random.Generator], object]],
) -> dict[str, list[tuple[float, float]]]:
    """Measure CPU and wall seconds of a batch in each round; the first round opens the files."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    for number in range(-1, ROUNDS):
        for name, make in loaders.items():
            rng = np.random.default_rng(max(number, 0))
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            repeats = STORE_BATCHES if name == "store" else 1
            for _ in range(repeats):
                make(rng)
            cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
            found[name].append((cpu_s / repeats, wall_s / repeats))
    return found


def per_s(rows: list[tuple[float, float]], column: int) -> int:
    """Return windows per second by the median of a column of batch times."""
    return round(BATCH / float(np.median([row[column] for row in rows])))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
