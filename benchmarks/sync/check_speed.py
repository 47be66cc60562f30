"""Measure the speed and peak memory of `avsync check`.

    python benchmarks/sync/check_speed.py [--long] [--model MODEL [--weights FILE]] [--clip FILE]

Renders a 60 s 720p clip of one face and checks it in a new process, by each of the models. The time
is measured with and without start-up and import, and the CPU time of all threads per frame of the
video, which hardly depends on what else the machine does. `--long` also checks 60 minutes of the
same clip; `--clip` checks a file of one's own instead.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from avsync.synthetic import render_clip
from avsync.timing import FPS
from benchmarks.record import machine, write_record

MODELS = ("dense_sync", "face_sync")
CHILD = """
import json, resource, sys, time
started = float(sys.argv[5])
import avsync
from avsync.pipelines.check.check_file import check
imported, used = time.time(), time.process_time()
result = check(sys.argv[1], detector=sys.argv[2], model=sys.argv[3], weights=sys.argv[4] or None)
ended = time.time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"check_s": ended - imported, "total_s": ended - started,
                  "cpu_s": time.process_time() - used,
                  "peak_mib": peak / 1024, "video_s": result.duration_s,
                  "offset_ms": result.offset_ms, "confidence": result.confidence}))
"""


def run(path: Path, detector: str, model: str, weights: str | None = None) -> dict[str, float]:
    """Check a file in a new process."""
    arguments = [str(path), detector, model, weights or "", str(time.time())]
    command = [sys.executable, "-W", "ignore", "-c", CHILD, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    figures["after_import_x"] = figures["video_s"] / figures["check_s"]
    figures["with_start_up_x"] = figures["video_s"] / figures["total_s"]
    figures["cpu_ms_per_frame"] = 1000 * figures["cpu_s"] / (figures["video_s"] * FPS)
    return figures


def measure(arguments: argparse.Namespace, clips: dict[str, Path]) -> dict[str, Any]:
    """Check each clip by each model, and print the figures."""
    rows: dict[str, Any] = {}
    for model in MODELS if arguments.model is None else (arguments.model,):
        rows[model] = {}
        for name, path in clips.items():
            runs = 1 if name == "60 min" else arguments.runs
            found = [run(path, arguments.detector, model, arguments.weights) for _ in range(runs)]
            rows[model][name] = found
            for row in found:
                print(
                    f"{model}, {name} of 720p: {row['after_import_x']:.1f}x real time after "
                    f"import, {row['with_start_up_x']:.1f}x start-up included, "
                    f"{row['cpu_ms_per_frame']:.1f} ms of CPU time a frame, "
                    f"peak {row['peak_mib']:.0f} MiB"
                )
        if "60 min" in clips:
            short = max(row["peak_mib"] for row in rows[model]["1 min"])
            ratio = rows[model]["60 min"][0]["peak_mib"] / short
            print(f"{model}, peak memory of 60 min against 1 min: {ratio:.3f}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", action="store_true", help="also check 60 minutes")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--detector", default="yunet")
    parser.add_argument("--model", help=f"one model instead of {' and '.join(MODELS)}")
    parser.add_argument("--weights", help="a checkpoint of the model")
    parser.add_argument("--clip", type=Path, help="check this file instead; no record is written")
    arguments = parser.parse_args()
    if arguments.weights and not arguments.model:
        parser.error("--weights needs --model")
    if arguments.clip is not None:
        measure(arguments, {arguments.clip.name: arguments.clip})
        return
    with tempfile.TemporaryDirectory() as folder:
        clips = {"1 min": Path(folder) / "minute.mp4"}
        options = dict(seed=7, duration_s=60.0, size=(1280, 720), audio_shift_ms=-80.0)
        render_clip(clips["1 min"], **options)
        if arguments.long:
            clips["60 min"] = Path(folder) / "hour.mp4"
            render_clip(clips["60 min"], repeats=60, **options)
        rows = measure(arguments, clips)
    print(machine())
    write_record("sync/check_speed", {"detector": arguments.detector, "runs": rows})


if __name__ == "__main__":
    main()
