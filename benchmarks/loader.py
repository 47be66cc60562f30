"""Windows per second and worker: prepared stores against the field's folders of JPEGs.

    python benchmarks/loader.py --data STORE [--clips 200]

Both give batches of 128 pairs of 5 frames as tensors from the same clips, in one process and on one
thread, in turns, with the files in the page cache. A store's frames stay bytes until they are on
the device; those of JPEGs are floats, as the public loaders make them. The time that counts is that
of the process on the CPU, so that other work on the machine counts less; the wall clock is noted.
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
from jpeg_folder import JpegFolderPairs, write_folder
from record import machine, write_record

from avsync.data.store.reader import Store
from avsync.tasks.registry import create_model
from avsync.tasks.sync.vocalist import Vocalist
from avsync.training.data.sync import ClipData
from avsync.training.data.sync_batches import Negatives, cut_audio_windows, pair_batches

BATCH = 128
# Of a store, so that its rounds take about as long as those of JPEGs.
STORE_BATCHES = 40
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="store of prepared clips")
    parser.add_argument("--clips", type=int, default=200, help="clips that are drawn from")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as work:
        ways = {
            "store": store_batches(arguments.data, arguments.clips, Path(work)),
            "jpeg_folder": jpeg_batches(arguments.data, arguments.clips, Path(work)),
        }
        rounds = measure(ways)
    first = {name: per_s(rows[:1], 0) for name, rows in rounds.items()}
    figures = {name: rows[1:] for name, rows in rounds.items()}
    cpu = {name: [cpu_s for cpu_s, _ in rows] for name, rows in figures.items()}
    ratios = [slow / quick for slow, quick in zip(cpu["jpeg_folder"], cpu["store"], strict=True)]
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
    write_record("loader", result)


def store_batches(data: Path, clips: int, work: Path) -> Callable[[np.random.Generator], object]:
    """Makes batches as `avsync train vocalist` does, from the first clips of the store."""
    part = work / "store"
    part.mkdir()
    rows = (data / "clips.jsonl").read_text(encoding="utf-8").splitlines()[:clips]
    (part / "clips.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (part / "clips").symlink_to((data / "clips").resolve())
    model = create_model("vocalist", config={"channels": (2, 3, 4, 5, 8), "depth": 1, "heads": 2})
    assert isinstance(model, Vocalist)
    recipe = ClipData((part,), batch=BATCH)
    batches = pair_batches(recipe, Negatives(), model.spec, cut_audio_windows(5))
    draws = torch.Generator()
    return lambda rng: batches.at(1.0)(rng, draws)


def jpeg_batches(data: Path, clips: int, work: Path) -> Callable[[np.random.Generator], object]:
    """Makes batches of the same clips, written out as folders of JPEGs."""
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
    ways: dict[str, Callable[[np.random.Generator], object]],
) -> dict[str, list[tuple[float, float]]]:
    """CPU and wall seconds of a batch of each way, round by round; the first opens the files."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(-1, ROUNDS):
        for name, make in ways.items():
            rng = np.random.default_rng(max(number, 0))
            begun, cpu = time.perf_counter(), time.process_time()
            repeat = STORE_BATCHES if name == "store" else 1
            for _ in range(repeat):
                make(rng)
            spent = (time.process_time() - cpu) / repeat, (time.perf_counter() - begun) / repeat
            found[name].append(spent)
    return found


def per_s(rows: list[tuple[float, float]], column: int) -> int:
    return round(BATCH / float(np.median([row[column] for row in rows])))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
