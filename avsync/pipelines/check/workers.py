"""Jobs done by processes of their own: one that dies costs its job, and the others go on."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from avsync.pipelines.progress import ProgressCallback

# Does one job, telling the share of it that is done.
Work = Callable[[Any, ProgressCallback], Any]


class JobOutcome(NamedTuple):
    """What came of a job; `died`: nothing, it killed its process."""

    number: int
    outcome: Any
    died: bool = False


def run_in_processes(
    start: Callable[[], Work], jobs: Sequence[Any], workers: int, report: ProgressCallback
) -> Iterator[JobOutcome]:
    """Yield what came of each job, as they end.

    An error raised in a process is raised here and ends all of them; so does closing this
    generator. RuntimeError where a process cannot even start, for then no job is to blame.

    Args:
        start: called once in each process, gives the work; picklable, as are jobs and outcomes.
        jobs: what is handed to the work, one at a time, in this order.
        workers: processes, at least 1.
        report: told the share of all jobs that is done, 0 to 1.
    """
    waiting = deque(enumerate(jobs))
    crew: list[_Worker] = []
    ended = 0
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                crew.append(_Worker(start, *waiting.popleft()))
            for worker in _that_spoke(crew):
                told = worker.listen()
                if told is None:
                    continue
                ended += 1
                yield told
                if waiting and not told.died:
                    worker.give(*waiting.popleft())
                else:
                    crew.remove(worker)
                    worker.stop()
            report((ended + sum(worker.share for worker in crew)) / len(jobs))
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """A process and the job it has in hand."""

    def __init__(self, start: Callable[[], Work], number: int, job: Any) -> None:
        # A fork would copy the locks of the threads of FFmpeg and torch, but not the threads.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, start), daemon=True)
        self.ready = False
        with _deaf_to_interrupts():
            self.process.start()
        theirs.close()
        self.give(number, job)

    def give(self, number: int, job: Any) -> None:
        self.number, self.share = number, 0.0
        # A process that has just died takes nothing: listening will tell.
        with suppress(OSError):
            self.pipe.send(job)

    def listen(self) -> JobOutcome | None:
        """Return what came of the job; None while it goes on."""
        try:
            what, value = self.pipe.recv()
        except (EOFError, OSError):
            if not self.ready:
                raise RuntimeError(NOT_STARTED) from None
            return JobOutcome(self.number, None, died=True)
        if what == "error":
            raise value
        if what == "outcome":
            return JobOutcome(self.number, value)
        self.ready = True
        self.share = value
        return None

    def stop(self) -> None:
        # Nothing is lost: a worker writes no file.
        self.process.kill()
        self.process.join()
        self.pipe.close()


NOT_STARTED = (
    "a worker process ended before it had begun; a script that starts some must do so under "
    "`if __name__ == '__main__':`"
)


def _that_spoke(crew: list[_Worker]) -> list[_Worker]:
    spoken = wait([worker.pipe for worker in crew])
    return [worker for worker in crew if worker.pipe in spoken]


def _serve(pipe: Connection, start: Callable[[], Work]) -> None:
    """The life of a worker process: ends with its pipe, so that none outlives who started it."""
    with suppress(EOFError, BrokenPipeError):
        try:
            work = start()
            pipe.send(("share", 0.0))
            while True:
                outcome = work(pipe.recv(), lambda share: pipe.send(("share", share)))
                pipe.send(("outcome", outcome))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:  # It is raised again where its words can be seen.
            kind = ValueError if isinstance(error, ValueError) else RuntimeError
            pipe.send(("error", kind(str(error) or type(error).__name__)))


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C, which a terminal sends to them too."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It unblocks the signal when it starts, which would be amid the start of the first process.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
