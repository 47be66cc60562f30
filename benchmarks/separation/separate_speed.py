"""Measure the speed and peak memory of `avsync separate`.

    python benchmarks/separation/separate_speed.py [--model NAME] [--weights FILE] \
        [--minutes M] [--size WIDTH HEIGHT]

Renders 20 s of two faces, repeats them to 1 and M minutes and separates each in a new process. The
real-time factors are by wall time and by CPU time, without import. Models without released weights
use random ones unless `--weights` is given; the cost does not depend on them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from avsync.synthetic import render_clip
from benchmarks.record import machine, write_record

PART_S = 20.0
CHILD = """
import json, resource, sys, time
from avsync.pipelines.separate.separate_file import load_separator, separate
from avsync.tasks.registry import create_model, model_card
path, output, name, weights = sys.argv[1:]
known = weights or model_card(name).file
model = load_separator(name, weights or None)[1] if known else create_model(name).eval()
started, before_s = time.time(), time.process_time()
result = separate(path, output, model=model)
print(json.dumps({"separate_s": time.time() - started,
                  "processor_s": time.process_time() - before_s, "status": result.status,
                  "voices": len(result.voices), "video_s": result.duration_s,
                  "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def run(path: Path, output: Path, model: str, weights: str | None) -> dict[str, float]:
    """Separate a file in a new process."""
    command = [sys.executable, "-c", CHILD, str(path), str(output), model, weights or ""]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert figures["status"] == "ok", figures
    figures["x_real_time"] = figures["video_s"] / figures["separate_s"]
    figures["x_per_processor"] = figures["video_s"] / figures["processor_s"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="lip_mask")
    parser.add_argument("--weights")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--faces", type=int, default=2, choices=(1, 2))
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720))
    arguments = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for minutes in (1, arguments.minutes):
            path = Path(folder) / f"{minutes}.mp4"
            size = tuple(arguments.size)
            options = dict(seed=7, duration_s=PART_S, size=size, faces=arguments.faces)
            render_clip(path, repeats=round(60 * minutes / PART_S), **options)
            out = Path(folder) / f"out_{minutes}"
            row = run(path, out, arguments.model, arguments.weights)
            rows[f"{minutes} min"] = row
            print(
                f"{minutes} min of {size[0]}x{size[1]}, {row['voices']} voices, "
                f"{arguments.model}: {row['x_real_time']:.2f}x real time, "
                f"{row['x_per_processor']:.2f}x by CPU time, "
                f"peak {row['peak_mib']:.0f} MiB",
                flush=True,
            )
    ratio = rows[f"{arguments.minutes} min"]["peak_mib"] / rows["1 min"]["peak_mib"]
    print(f"peak memory of {arguments.minutes} min against 1 min: {ratio:.3f}")
    print(machine())
    figures = {"model": arguments.model, "weights": arguments.weights, "size": arguments.size}
    figures |= {"rows": rows, "peak_ratio": ratio}
    write_record("separation/separate_speed", figures)


if __name__ == "__main__":
    main()
