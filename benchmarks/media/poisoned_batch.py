"""Run `avsync` on a batch in which some files hang, crash, or eat memory in their worker.

    python -m benchmarks.media.poisoned_batch check FOLDER --jsonl FILE --workers 2 ...

Real files that do this are mended when they are found: here the name of a file makes its worker do
it.
"""

import ctypes
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from avsync.cli import main
from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.workers import jobs
from avsync.pipelines.workers.jobs import JobOutcome, run_jobs
from avsync.pipelines.workers.process_worker import Start, Work

HANGS, CRASHES, EXHAUSTS = "poison-hangs", "poison-crashes", "poison-eats-memory"


class PoisonedStart(NamedTuple):
    """Start of workers that poison files bring down; picklable, unlike a closure."""

    start: Start

    def __call__(self, index: int) -> Work:
        work = self.start(index)

        def poisoned(job: Any, report: ProgressCallback) -> Any:
            poison(str(job))
            return work(job, report)

        return poisoned


def poison(job: str) -> None:
    """Do what the name of the job's file says."""
    if HANGS in job:
        time.sleep(3600)
    if CRASHES in job:
        ctypes.string_at(0)
    if EXHAUSTS in job:
        # As a library does whose allocation fails.
        kept = []
        try:
            while True:
                kept.append(bytearray(1 << 28))
        except MemoryError:
            ctypes.CDLL(None).abort()


def run_poisoned(start: Start, files: Any, **options: Any) -> Iterator[JobOutcome]:
    """Run jobs in workers that poison files bring down."""
    return run_jobs(PoisonedStart(start), files, **options)


if __name__ == "__main__":
    # The pipelines of the command, with nothing else changed.
    from benchmarks.media.poisoned_batch import run_poisoned as named

    jobs.run_jobs = named
    sys.exit(main(sys.argv[1:]))
