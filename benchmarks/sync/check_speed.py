"""Measure the speed and peak memory of `avsync check`.

    python benchmarks/sync/check_speed.py [--long]

Renders a 60 s 720p clip of one face and checks it in a new process. The time is measured with and
without start-up and import. `--long` also checks 60 minutes of the same clip.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from avsync.synthetic import render_clip
from benchmarks.record import machine, write_record

CHILD = """
import json, resource, sys, time
started = float(sys.argv[3])
import avsync
from avsync.pipelines.check.check_file import check
imported = time.time()
result = check(sys.argv[1], detector=sys.argv[2])
ended = time.time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"check_s": ended - imported, "total_s": ended - started,
                  "peak_mib": peak / 1024, "video_s": result.duration_s,
                  "offset_ms": result.offset_ms, "confidence": result.confidence}))
"""


def run(path: Path, detector: str) -> dict[str, float]:
    """Check a file in a new process."""
    command = [sys.executable, "-c", CHILD, str(path), detector, str(time.time())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    figures["after_import_x"] = figures["video_s"] / figures["check_s"]
    figures["with_start_up_x"] = figures["video_s"] / figures["total_s"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", action="store_true", help="also check 60 minutes")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--detector", default="yunet")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = {"1 min": Path(folder) / "minute.mp4"}
        options = dict(seed=7, duration_s=60.0, size=(1280, 720), audio_shift_ms=-80.0)
        render_clip(clips["1 min"], **options)
        if arguments.long:
            clips["60 min"] = Path(folder) / "hour.mp4"
            render_clip(clips["60 min"], repeats=60, **options)
        rows = {}
        for name, path in clips.items():
            runs = 1 if name == "60 min" else arguments.runs
            rows[name] = [run(path, arguments.detector) for _ in range(runs)]
            for row in rows[name]:
                print(
                    f"{name} of 720p: {row['after_import_x']:.1f}x real time after import, "
                    f"{row['with_start_up_x']:.1f}x start-up included, "
                    f"peak {row['peak_mib']:.0f} MiB"
                )
    if arguments.long:
        ratio = rows["60 min"][0]["peak_mib"] / max(row["peak_mib"] for row in rows["1 min"])
        print(f"peak memory of 60 min against 1 min: {ratio:.3f}")
    print(machine())
    write_record("sync/check_speed", {"detector": arguments.detector, "runs": rows})


if __name__ == "__main__":
    main()
