"""Jobs for worker processes, which import them from here by name."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avsync.pipelines.workers import limits
from avsync.pipelines.workers.limits import WORKER_GROWTH_BYTES

Report = Callable[[float], None]


def start(index: int) -> Callable[[Any, Report], Any]:
    return do


def do(job: Any, report: Report) -> Any:
    """Square a number; a word ends the job or its process in a certain way."""
    report(0.5)
    if job == "die":
        os._exit(1)
    if job == "fail":
        raise ValueError("this is no number")
    if job == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        return "ignored"
    if job == "memory":
        try:
            return len(bytearray(WORKER_GROWTH_BYTES + (1 << 20)))
        except MemoryError:
            return "MemoryError"
    if job == "spin":
        limits.FILE_CPU_S = 0
        limits.limit_file_cpu("none")
        while True:
            pass
    if job == "pid":
        return os.getpid()
    if job == "actor":
        return os.getppid()
    if job == "kill the other":
        return "alive"
    if isinstance(job, list):
        if not job[1].exists():
            job[1].touch()
            os._exit(1)
        return "at last"
    if isinstance(job, Path):
        time.sleep(60)
    return job**2


def start_badly(index: int) -> Callable[[Any, Report], Any]:
    os._exit(1)


def refuse(index: int) -> Callable[[Any, Report], Any]:
    raise RuntimeError("no weights")


def start_at_the_fifth_attempt(folder: Path, index: int) -> Callable[[Any, Report], Any]:
    """Leave a file for each attempt, and be killed at the first four."""
    (folder / str(len(list(folder.iterdir())))).touch()
    if len(list(folder.iterdir())) < 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return do
