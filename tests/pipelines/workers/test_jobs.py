import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from pipelines import jobs

from avsync.pipelines.workers.jobs import Shard, run_jobs
from avsync.pipelines.workers.limits import DEATH_CAUSE, death_cause, file_cpu_s


def outcomes(todo, workers=2, start=jobs.start, report=lambda share: None):
    return list(run_jobs(start, todo, workers=workers, report=report))


def run_script(code):
    """Run code in a process of its own, as workers are started again from a script."""
    tests = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": tests}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_without_workers_jobs_are_done_here_in_their_order():
    shares = []
    found = outcomes([3, "pid", 4], workers=0, report=shares.append)
    assert [outcome.outcome for outcome in found] == [9, os.getpid(), 16]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with pytest.raises(ValueError, match="this is no number"):
        outcomes([1, "fail"], workers=0)


def test_every_job_is_done_once():
    assert sorted(outcomes([1, 2, 3, 4, 5])) == [(k, (k + 1) ** 2, False, "") for k in range(5)]


def test_a_job_that_kills_its_process_is_the_only_one_lost():
    assert sorted(outcomes([3, "die", "die", 4])) == [
        (0, 9, False, ""),
        (1, None, True, DEATH_CAUSE),
        (2, None, True, DEATH_CAUSE),
        (3, 16, False, ""),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_a_job_over_the_memory_limit_gets_an_error_and_the_next_job_its_memory_back():
    assert outcomes(["memory", 3, "memory"], workers=1) == [
        (0, "MemoryError", False, ""),
        (1, 9, False, ""),
        (2, "MemoryError", False, ""),
    ]


@pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="no limit of CPU time here")
def test_a_job_over_the_limit_of_cpu_time_is_the_only_one_lost():
    lost, done = outcomes(["spin", 4], workers=1)
    assert done == (1, 16, False, "")
    assert lost.died
    assert lost.cause == "it takes more CPU time than the limit of a worker, 300 s and 100 s per MB"


def test_the_cause_of_a_death_names_the_signal():
    assert death_cause(-signal.SIGSEGV) == "reading it killed the process (SIGSEGV)"
    assert death_cause(-signal.SIGABRT).endswith("(SIGABRT, as if the memory were used up)")
    assert death_cause(1) == death_cause(None) == DEATH_CAUSE


def test_the_limit_of_cpu_time_grows_with_the_file(tmp_path):
    video = tmp_path / "a.mp4"
    assert file_cpu_s(video) == 300
    with video.open("wb") as file:
        file.truncate(10**10)
    # An hour of 4K: more than any file needs.
    assert file_cpu_s(video) == 1_000_300


def test_a_process_does_many_jobs_and_none_outlives_them():
    pids = {job.outcome for job in outcomes(["pid"] * 6)}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_error_is_raised_here():
    with pytest.raises(ValueError, match="this is no number"):
        outcomes([1, "fail", 2])
    with pytest.raises(RuntimeError, match="no weights"):
        outcomes([1, 2], start=jobs.refuse)


def test_processes_that_cannot_start_are_no_fault_of_a_job():
    with pytest.raises(RuntimeError, match="a worker process ended before it was ready"):
        outcomes([1, 2], start=jobs.start_badly)


def test_a_worker_that_is_killed_while_it_starts_is_started_again(tmp_path):
    start = partial(jobs.start_at_the_fifth_attempt, tmp_path)
    assert outcomes([3], workers=1, start=start) == [(0, 9, False, "")]
    assert len(list(tmp_path.iterdir())) == 5


def test_leaving_early_does_not_wait_for_jobs():
    work = run_jobs(jobs.start, [2, Path("asleep for a minute"), 3], workers=2)
    began_s = time.monotonic()
    next(work)
    work.close()
    assert time.monotonic() - began_s < 30


def test_the_share_done_rises_to_all_of_it():
    shares = []
    outcomes([1, 2, 3, 4], report=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signals to block here")
def test_the_interrupt_of_a_terminal_is_left_to_the_parent():
    code = (
        "from pipelines import jobs; from avsync.pipelines.workers import run_jobs\n"
        "if __name__ == '__main__':\n"
        " print([o.outcome for o in run_jobs(jobs.start, ['interrupt'] * 3, workers=2)][-1])"
    )
    done = run_script(code)
    assert done.returncode == 0
    assert done.stdout.endswith("ignored\n")
    assert done.stderr == ""


def test_a_job_that_takes_too_long_is_the_only_one_lost():
    found = sorted(run_jobs(jobs.start, [1, Path("asleep"), 3], workers=1, timeout_s=1))
    assert found == [
        (0, 1, False, ""),
        (1, None, True, "it takes longer than 1 s"),
        (2, 9, False, ""),
    ]


def test_a_job_whose_worker_is_killed_once_is_done_again(tmp_path):
    # It writes a file and dies, unless the file is there.
    (outcome,) = outcomes([["once", tmp_path / "tried"]])
    assert outcome == (0, "at last", False, "")


def test_an_idle_worker_that_is_killed_costs_no_job():
    work = run_jobs(jobs.start, iter(["pid", "kill the other", 3]), workers=1, total=3)
    pid = next(work).outcome
    os.kill(pid, signal.SIGKILL)
    assert next(work) == (1, "alive", False, "")
    assert next(work) == (2, 9, False, "")


def test_a_worker_ends_with_its_parent():
    code = (
        "import os, signal; from pipelines import jobs\n"
        "from avsync.pipelines.workers import run_jobs\n"
        "if __name__ == '__main__':\n"
        " for outcome in run_jobs(jobs.start, ['pid', 'pid', jobs.Path('x')], workers=1):\n"
        "  print(outcome.outcome, flush=True)\n"
        "  if outcome.number: os.kill(os.getpid(), signal.SIGKILL)"
    )
    (pid,) = set(run_script(code).stdout.split())
    until = time.monotonic() + 20
    while _is_running(int(pid)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _is_running(int(pid))


def _is_running(pid):
    try:
        # A process that has ended stays in the table until it is waited for.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_shards_are_disjoint_and_complete():
    parts = [Shard.parse(f"{number}/3").of_list(range(8)) for number in (1, 2, 3)]
    assert parts == [[0, 3, 6], [1, 4, 7], [2, 5]]
    for text in ("0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5"):
        with pytest.raises(ValueError, match="shard must be i/n"):
            Shard.parse(text)


def test_without_jobs_no_process_is_started():
    assert list(run_jobs(jobs.start_badly, [], workers=2)) == []
