"""Hand out jobs to workers; one that dies or takes too long only costs the job it was doing."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.workers.process_worker import ProcessWorker, Reply, Start

# A job whose worker dies or takes too long is tried again, and given up after these attempts.
ATTEMPTS = 2
# A job whose worker was lost without its fault, as with its machine, is tried this often.
LOST_ATTEMPTS = 10
# Progress within jobs is reported this often.
REPORT_EVERY_S = 0.5

T = TypeVar("T")


class JobOutcome(NamedTuple):
    """Outcome of job `number`; if its workers `died`, there is none, and a cause in words."""

    number: int
    outcome: Any
    died: bool = False
    cause: str = ""


class Shard(NamedTuple):
    """Part `number` of `of` equal parts of a list, counted from 1: every `of`-th item."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `2/8`, the second of eight.

        Raises:
            ValueError: it is something else.
        """
        number, slash, of = text.partition("/")
        if slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise ValueError(f"shard must be i/n with 1 <= i <= n, such as 2/8, got {text!r}")

    def of_list(self, items: Sequence[T]) -> list[T]:
        """Return the items of this part."""
        return list(items[self.number - 1 :: self.of])


@dataclass(frozen=True)
class Pool:
    """Where the jobs of a batch are done, and their limits.

    Args:
        workers: worker processes; 0 for this process, or for one worker for each CPU of `ray`.
        timeout_s: seconds that a worker may take for a job, by the clock on the wall.
        ray: address of a Ray cluster, `local` to start one here, None for processes of this
            machine.

    Raises:
        ValueError: one is out of range, or a job of this process has a time limit.
    """

    workers: int = 0
    timeout_s: float | None = None
    ray: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more, got {self.workers}")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}")
        if self.timeout_s is not None and self.is_this_process:
            raise ValueError("timeout_s needs workers: a file cannot be stopped in this process")

    @property
    def is_this_process(self) -> bool:
        return not self.workers and self.ray is None

    def run(
        self, start: Start, jobs: Iterable[Any], *, total: int, report: ProgressCallback
    ) -> Iterator[JobOutcome]:
        """Do jobs, by `run_jobs`."""
        options = {"workers": self.workers, "timeout_s": self.timeout_s, "ray": self.ray}
        return run_jobs(start, jobs, total=total, report=report, **options)  # type: ignore[arg-type]


class Worker(Protocol):
    """A process that does one job at a time; see `ProcessWorker`."""

    @property
    def share(self) -> float: ...
    def start(self) -> "Future[Reply]": ...
    def submit(self, job: Any, timeout_s: float | None) -> "Future[Reply]": ...
    def reply(self, future: "Future[Reply]") -> Reply: ...
    def stop(self) -> None: ...


class _Task(NamedTuple):
    number: int
    job: Any
    attempts: int = 0
    lost: int = 0


def run_jobs(
    start: Start,
    jobs: Iterable[Any],
    *,
    workers: int,
    report: ProgressCallback = lambda share: None,
    total: int | None = None,
    timeout_s: float | None = None,
    ray: str | None = None,
) -> Iterator[JobOutcome]:
    """Do jobs in worker processes and yield their outcomes as they finish.

    Jobs are taken from `jobs` only when a worker is free. A job that kills its worker process, or
    takes longer than `timeout_s`, is done again by a new one, and given up after `ATTEMPTS`. An
    error of a job is raised here and stops all workers; so does closing this generator.

    Args:
        start: called once in each process with the number of the worker from 0; returns the
            function that does a job. Picklable, as jobs and outcomes are.
        jobs: argument of each job, started in this order.
        workers: number of processes; 0 does the jobs in this process, or with `ray` is one worker
            for each CPU of the cluster.
        report: called with the share of all jobs that is done, 0 to 1.
        total: number of jobs, for `report`; by default the length of `jobs`.
        timeout_s: seconds that a job may take, by the clock on the wall; None for no limit.
        ray: address of a Ray cluster whose machines run the workers, `local` for one that is
            started here, None for processes of this machine.

    Raises:
        RuntimeError: if a process cannot start, as then no job is to blame.
    """
    if total is None:
        total = len(jobs)  # type: ignore[arg-type]
    if not total:
        return
    if not workers and ray is None:
        yield from _run_here(start, jobs, total, report)
        return
    make = _maker(start, ray)
    if ray is not None and not workers:
        from avsync.pipelines.workers.ray_worker import cluster_cpus

        workers = cluster_cpus()
    schedule = _Schedule(make, min(workers, total), iter(jobs), timeout_s)
    finished = 0
    try:
        while not schedule.is_finished():
            for outcome in schedule.outcomes():
                finished += 1
                yield outcome
            report((finished + schedule.share()) / total)
    finally:
        schedule.stop()


def _run_here(
    start: Start, jobs: Iterable[Any], total: int, report: ProgressCallback
) -> Iterator[JobOutcome]:
    work = start(0)
    for number, job in enumerate(jobs):

        def report_share(share: float, done: int = number) -> None:
            report((done + share) / total)

        yield JobOutcome(number, work(job, report_share))
        report_share(1.0)


def _maker(start: Start, ray: str | None) -> Callable[[int], Worker]:
    if ray is None:
        return lambda index: ProcessWorker(start, index)
    from avsync.pipelines.workers.ray_worker import RayWorker, connect

    connect(ray)
    return lambda index: RayWorker(start, index)


class _Schedule:
    """The workers, what each is doing, and the jobs that wait."""

    def __init__(
        self,
        make: Callable[[int], Worker],
        workers: int,
        jobs: Iterator[Any],
        timeout_s: float | None,
    ) -> None:
        self.jobs, self.timeout_s = enumerate(jobs), timeout_s
        self.next: _Task | None = None
        # Jobs that are done again: before others, as their outcomes may be waited for.
        self.again: deque[_Task] = deque()
        self.workers = [make(index) for index in range(workers)]
        self.idle: list[Worker] = []
        # What each of the other workers is doing: starting, if there is no task.
        self.doing: dict[Future[Reply], tuple[Worker, _Task | None]] = {}
        try:
            for worker in self.workers:
                self.doing[worker.start()] = (worker, None)
        except BaseException:
            self.stop()
            raise
        self._read_next()

    def is_finished(self) -> bool:
        running = any(task is not None for _, task in self.doing.values())
        return self.next is None and not self.again and not running

    def share(self) -> float:
        """Return how much of the running jobs is done, in jobs."""
        return sum(worker.share for worker, task in self.doing.values() if task is not None)

    def outcomes(self) -> Iterator[JobOutcome]:
        """Hand out jobs, wait for a moment, and yield the outcomes that are there."""
        while self.idle and (task := self._take()) is not None:
            worker = self.idle.pop()
            self.doing[worker.submit(task.job, self.timeout_s)] = (worker, task)
        done, _ = wait(self.doing, timeout=REPORT_EVERY_S, return_when=FIRST_COMPLETED)
        for future in done:
            worker, finished = self.doing.pop(future)
            reply = worker.reply(future)
            if reply.kind == "error":
                raise reply.value
            if reply.kind == "done":
                self.idle.append(worker)
            else:
                self.doing[worker.start()] = (worker, None)
            if finished is not None and (outcome := self._judge(finished, reply)) is not None:
                yield outcome

    def stop(self) -> None:
        with ThreadPoolExecutor(len(self.workers)) as threads:
            list(threads.map(lambda worker: worker.stop(), self.workers))

    def _judge(self, task: _Task, reply: Reply) -> JobOutcome | None:
        """Return the outcome of a job, or None if it is to be done again."""
        if reply.kind == "done":
            return JobOutcome(task.number, reply.value)
        if reply.kind == "lost":
            task = task._replace(lost=task.lost + 1)
        else:
            task = task._replace(attempts=task.attempts + 1)
        if reply.final or task.attempts >= ATTEMPTS or task.lost >= LOST_ATTEMPTS:
            return JobOutcome(task.number, None, died=True, cause=reply.cause)
        self.again.append(task)
        return None

    def _take(self) -> _Task | None:
        if self.again:
            return self.again.popleft()
        task = self.next
        self._read_next()
        return task

    def _read_next(self) -> None:
        self.next = next((_Task(number, job) for number, job in self.jobs), None)
