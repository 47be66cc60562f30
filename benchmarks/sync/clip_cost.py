"""Measure the CPU time of `avsync check` on short clips, as builders of data sets have them.

    python benchmarks/sync/clip_cost.py --shared ../shared [--clips 10]

The clips are checked one after the other in this process by one thread, as a worker does, after one
clip that warms up. The figure is CPU seconds a clip, which hardly depend on what else the machine
does; the limit is 0.3.
"""

import argparse
import time
from pathlib import Path

import cv2
import torch

from avsync.pipelines.check.check_file import check
from benchmarks.record import machine, write_record

MODELS = ("face_sync", "dense_sync")
LIMIT_S = 0.3


def measure(model: str, clips: list[Path]) -> dict[str, float]:
    """Return CPU seconds and length of a clip in the mean, and how many have an offset."""
    check(clips[0], model=model)
    began_s = time.process_time()
    results = [check(clip, model=model) for clip in clips]
    cpu_s = (time.process_time() - began_s) / len(clips)
    return {
        "cpu_s": cpu_s,
        "clip_s": sum(result.duration_s or 0.0 for result in results) / len(clips),
        "with_offset": sum(result.offset_ms is not None for result in results),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    clips = sorted((arguments.shared / "data" / "wild_lrs3").glob("*.mp4"))[: arguments.clips]
    rows = {model: measure(model, clips) for model in MODELS}
    for model, row in rows.items():
        print(
            f"{model}: {row['cpu_s']:.2f} CPU s for a clip of {row['clip_s']:.1f} s (limit "
            f"{LIMIT_S}), {row['with_offset']} of {len(clips)} with an offset"
        )
    ratio = rows["face_sync"]["cpu_s"] / rows["dense_sync"]["cpu_s"]
    print(f"face_sync takes {ratio:.1f} times the time of dense_sync")
    write_record("sync/clip_cost", {"models": rows, "ratio": ratio, "machine": machine()})


if __name__ == "__main__":
    main()
