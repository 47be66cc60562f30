"""Measure what a batch of `avsync check` costs its own process per file, besides the files.

    python benchmarks/media/batch_bookkeeping.py [--rows 10000 100000 1000000] [--jobs 20000]

The results are simulated: they come at once, as if any number of workers had made them. What is
left is listing, looking up, writing and sorting lines, which one process does for all workers; a
cost that grows with the square of the number of files shows as a ratio of the figures per file. A
third of the files has the content of another. What handing a job to a worker process costs is
measured with empty jobs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from avsync.pipelines.check import batch
from avsync.pipelines.check.check_file import unreadable_result
from avsync.pipelines.check.jsonl import ResultsFile
from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.workers.jobs import JobOutcome, Pool, run_jobs
from avsync.pipelines.workers.process_worker import Work
from avsync.scoring.result import TimelinePoint, TrackResult
from benchmarks.record import machine, write_record

OPTIONS = batch.CheckOptions("face_sync", None, "ebu", 1.0, "yunet")
POINTS = 10


def result_of(video: Path) -> Any:
    """Return a result of the size that a clip of seconds has."""
    blank = unreadable_result(video, "face_sync", "ebu", 1.0, "damaged", "simulated")
    points = tuple(TimelinePoint(0.4 * k, 83.123, 0.912) for k in range(POINTS))
    box = (12.0, 34.0, 156.0, 178.0)
    speaking = ((0.1, 2.9),)
    track = TrackResult(1, 0.0, 3.0, box, "ok", None, 83.1, (75.0, 91.0), 0.93, points, speaking)
    return replace(blank, status="ok", reason=None, offset_ms=83.1, tracks=(track,))


class SimulatedPool(Pool):
    """Pool that has the outcome of each job at once."""

    def run(
        self, start: Any, jobs: Iterable[Any], *, total: int, report: ProgressCallback
    ) -> Iterator[JobOutcome]:
        """Yield the outcomes."""
        for number, job in enumerate(jobs):
            content = f"{number - number % 3 // 2:064x}"
            if job.contents and content in job.contents:
                yield JobOutcome(number, batch._Checked(None, content))
            else:
                yield JobOutcome(number, batch._Checked(result_of(job.video), content))
            report(number / total)


def measure(rows: int) -> dict[str, float]:
    """Run a batch of simulated files in this process, and then resume it."""
    batch.file_fingerprint = lambda video: {
        "size": 300_000 + hash(video.name) % 200_000,
        "mtime_ns": 1,
    }
    videos = [Path(f"/videos/{n % 1000:03}/{n:07}.mp4") for n in range(rows)]
    figures = {"rows": float(rows)}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "resumed"):
            before = time.process_time()
            lines = ResultsFile(Path(folder) / "results.jsonl", resume=True)
            found = batch._in_order(videos, OPTIONS, SimulatedPool(), lines)
            count = sum(1 for _ in found)
            if count != rows:
                raise RuntimeError(f"{count} results of {rows} files")
            figures[f"{name}_ms_per_row"] = 1000 * (time.process_time() - before) / rows
    figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def start_empty(index: int) -> Work:
    """Start a worker whose jobs are empty."""
    return lambda job, report: job


def job_ms(jobs: int) -> float:
    """Return the CPU time of this process for handing a job to a worker process, in ms."""
    before = time.process_time()
    done = sum(1 for _ in run_jobs(start_empty, range(jobs), workers=2))
    if done != jobs:
        raise RuntimeError(f"{done} outcomes of {jobs} jobs")
    return 1000 * (time.process_time() - before) / jobs


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--one", type=int, help="measure this number of rows in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    found = []
    for rows in arguments.rows:
        # In a process of its own, whose peak memory is that of these rows.
        line = [sys.executable, "-m", "benchmarks.media.batch_bookkeeping", "--one", str(rows)]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        found.append(json.loads(done.stdout))
        print(" ".join(f"{name} {value:.4g}" for name, value in found[-1].items()), flush=True)
    ratio = found[-1]["first_ms_per_row"] / found[0]["first_ms_per_row"]
    job = job_ms(arguments.jobs)
    print(f"the most rows against the fewest, per row: {ratio:.2f}; a job {job:.3f} ms")
    figures = {"sizes": found, "ratio": ratio, "job_ms": job, "machine": machine()}
    write_record("media/batch_bookkeeping", figures)


if __name__ == "__main__":
    main()
