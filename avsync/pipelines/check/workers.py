"""Run jobs in worker processes; a process that crashes only costs the job that it was doing."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.worker_limits import death_cause, limit_worker_memory

# Does one job; calls the callback with the share of it that is done.
Work = Callable[[Any, ProgressCallback], Any]

# A process whose pipe is closed ends at once, unless the system writes its memory to a file.
DEATH_WAIT_S = 5.0
NOT_STARTED = (
    "a worker process ended before it was ready; a script must start workers under "
    "`if __name__ == '__main__':`"
)


class JobOutcome(NamedTuple):
    """Outcome of job `number`; if its process `died`, there is none, and a cause in words."""

    number: int
    outcome: Any
    died: bool = False
    cause: str = ""


def run_in_processes(
    start: Callable[[], Work], jobs: Sequence[Any], workers: int, report: ProgressCallback
) -> Iterator[JobOutcome]:
    """Run jobs in worker processes and yield their outcomes as they finish.

    An error in a worker is raised here and stops all workers; so does closing this generator.

    Args:
        start: called once in each process, returns the function that does a job; picklable, as
            jobs and outcomes are.
        jobs: argument of each job, started in this order.
        workers: number of processes, at least 1.
        report: called with the share of all jobs that is done, 0 to 1.

    Raises:
        RuntimeError: if a process cannot start, as then no job is to blame.
    """
    waiting = deque(enumerate(jobs))
    running: list[_Worker] = []
    finished = 0
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_Worker(start, *waiting.popleft()))
            for worker in _with_messages(running):
                outcome = worker.receive()
                if outcome is None:
                    continue
                finished += 1
                yield outcome
                if waiting and not outcome.died:
                    worker.send(*waiting.popleft())
                else:
                    running.remove(worker)
                    worker.stop()
            report((finished + sum(worker.share for worker in running)) / len(jobs))
    finally:
        for worker in running:
            worker.stop()


class _Worker:
    """A process and the job that it is doing."""

    def __init__(self, start: Callable[[], Work], number: int, job: Any) -> None:
        # A fork would copy the locks of the threads of FFmpeg and torch, but not the threads.
        context = multiprocessing.get_context("spawn")
        self.pipe, child_pipe = context.Pipe()
        self.process = context.Process(target=_serve, args=(child_pipe, start), daemon=True)
        self.ready = False
        with _interrupts_ignored():
            self.process.start()
        child_pipe.close()
        self.send(number, job)

    def send(self, number: int, job: Any) -> None:
        self.number, self.share = number, 0.0
        # To a process that has just died nothing can be sent: `receive` will notice.
        with suppress(OSError):
            self.pipe.send(job)

    def receive(self) -> JobOutcome | None:
        """Read one message; return the outcome if the job is finished, else None."""
        try:
            kind, value = self.pipe.recv()
        except (EOFError, OSError):
            if not self.ready:
                raise RuntimeError(NOT_STARTED) from None
            self.process.join(DEATH_WAIT_S)
            cause = death_cause(self.process.exitcode)
            return JobOutcome(self.number, None, died=True, cause=cause)
        if kind == "error":
            raise value
        if kind == "outcome":
            return JobOutcome(self.number, value)
        self.ready = True
        self.share = value
        return None

    def stop(self) -> None:
        # Safe to kill: a worker writes no file.
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _with_messages(running: list[_Worker]) -> list[_Worker]:
    """Wait for messages and return the workers that sent them."""
    ready = wait([worker.pipe for worker in running])
    return [worker for worker in running if worker.pipe in ready]


def _serve(pipe: Connection, start: Callable[[], Work]) -> None:
    """Run a worker process until its pipe closes, so that it never outlives its parent."""
    with suppress(EOFError, BrokenPipeError):
        try:
            work = start()
            limit_worker_memory()
            pipe.send(("share", 0.0))
            while True:
                outcome = work(pipe.recv(), lambda share: pipe.send(("share", share)))
                pipe.send(("outcome", outcome))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:  # Raised again in the parent.
            error_type = ValueError if isinstance(error, ValueError) else RuntimeError
            pipe.send(("error", error_type(str(error) or type(error).__name__)))


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
