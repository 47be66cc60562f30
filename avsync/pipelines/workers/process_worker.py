"""A worker process of this machine, kept by pebble: replaced when it dies or takes too long."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker
from typing import Any, Literal, NamedTuple

from pebble import ProcessExpired, ProcessPool

from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.workers.limits import death_cause, is_cpu_limit, limit_worker_memory

# Does one job; calls the callback with the share of it that is done.
Work = Callable[[Any, ProgressCallback], Any]
# Loads what the jobs need in worker `index`, counted from 0.
Start = Callable[[int], Work]

NOT_STARTED = (
    "a worker process ended before it was ready; a script must start workers under "
    "`if __name__ == '__main__':`"
)
# A process that ends while it starts is started again this often; one that a signal ended, as one
# from outside may at any time, more often.
START_ATTEMPTS, KILLED_START_ATTEMPTS = 3, 20
LOST = "its worker was lost again and again"
# A pool whose process was killed in the middle of a message can wait for the rest of it for ever.
STOP_WAIT_S = 5.0


class Reply(NamedTuple):
    """What became of a job, or of a worker that starts.

    Args:
        kind: `done` with a value; `error` with an exception that concerns all jobs; `died` or
            `too_slow` while it did the job; `lost` without the job's fault.
        value: the job's outcome, or the exception.
        cause: why there is no outcome, in words.
        final: another attempt would end in the same way.
    """

    kind: Literal["done", "error", "died", "too_slow", "lost"]
    value: Any = None
    cause: str = ""
    final: bool = False


class ProcessWorker:
    """One process, in a pool of its own: processes that share a pool's locks can take them away.

    Args:
        start: see `Start`; picklable.
        index: number of the worker.
    """

    def __init__(self, start: Start, index: int) -> None:
        self._start, self._index = start, index
        self._pool: ProcessPool | None = None
        self._starting, self._deaths = False, 0
        self._timeout_s: float | None = None

    @property
    def share(self) -> float:
        """Share of the present job that is done, 0 to 1."""
        return float(self._share.value)

    def start(self) -> "Future[Any]":
        """Start the process, and load what its jobs need."""
        self.stop()
        # A fork would copy the locks of the threads of FFmpeg and torch, but not the threads.
        context = multiprocessing.get_context("spawn")
        self._share = context.Value("d", 0.0, lock=False)
        self._pool = ProcessPool(1, 0, _begin, (self._share,), context)
        self._starting = True
        with _interrupts_ignored():
            return self._pool.schedule(_load, (self._start, self._index))

    def submit(self, job: Any, timeout_s: float | None) -> "Future[Any]":
        """Do a job in the process; pass the future to `reply` once it is done."""
        assert self._pool is not None
        self._share.value = 0.0
        self._timeout_s = timeout_s
        try:
            return self._pool.schedule(_do, (job,), timeout=timeout_s)
        except RuntimeError as error:  # The process has died while it had nothing to do.
            broken: Future[Any] = Future()
            broken.set_exception(BrokenProcessPool(str(error)))
            return broken

    def reply(self, future: "Future[Any]") -> Reply:
        """Return what became of a job, or of the start, whose future is done."""
        starting, self._starting = self._starting, False
        error = future.exception()
        if error is None:
            self._deaths = 0
            return Reply("done", future.result())
        if starting and isinstance(error, (BrokenProcessPool, ProcessExpired)):
            self._deaths += 1
            killed = isinstance(error, ProcessExpired) and (error.exitcode or 0) < 0
            if self._deaths < (KILLED_START_ATTEMPTS if killed else START_ATTEMPTS):
                return Reply("lost", cause=LOST)
            return Reply("error", RuntimeError(NOT_STARTED))
        if isinstance(error, ProcessExpired):
            cause = death_cause(error.exitcode)
            return Reply("died", cause=cause, final=is_cpu_limit(error.exitcode))
        if isinstance(error, BrokenProcessPool):
            return Reply("lost", cause=LOST)
        if isinstance(error, TimeoutError) and self._timeout_s is not None:
            return Reply("too_slow", cause=f"it takes longer than {self._timeout_s:g} s")
        return Reply("error", error)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._pool is None:
            return
        self._pool.stop()
        ending = threading.Thread(target=self._pool.join, daemon=True)
        ending.start()
        ending.join(STOP_WAIT_S)
        self._pool = None


# State of a worker process: its work, and the share that its parent reads.
_work: Work | None = None
_share: Any = None


def _begin(share: Any) -> None:
    global _share
    _share = share
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent does, even in the middle of a job."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _load(start: Start, index: int) -> None:
    global _work
    _work = start(index)
    limit_worker_memory()


def _do(job: Any) -> Any:
    assert _work is not None
    return _work(job, _report)


def _report(share: float) -> None:
    _share.value = share


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Make processes started inside ignore Ctrl-C, which a terminal sends to them too."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The tracker unblocks the signal when it starts: not while the first process starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
