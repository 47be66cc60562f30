"""Workers on a Ray cluster: needs the extra `scale`, which the set-up for tests leaves out."""

import os
import signal
from pathlib import Path

import pytest
from pipelines import jobs

from avsync.pipelines.workers import ray_worker
from avsync.pipelines.workers.jobs import run_jobs
from avsync.pipelines.workers.ray_worker import RayWorker

ray = pytest.importorskip("ray", reason="needs the extra `scale`: pip install 'avsync[scale]'")


@pytest.fixture(scope="module")
def cluster():
    """Start a cluster on this machine, whose workers find the jobs of the tests."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    # A cluster of its own, whatever runs here.
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False
    )
    yield "local"
    ray.shutdown()
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def test_outcomes_are_those_of_processes_of_this_machine(cluster):
    todo = [1, "die", 3, Path("asleep"), 4]
    here = sorted(run_jobs(jobs.start, todo, workers=2, timeout_s=2))
    assert sorted(run_jobs(jobs.start, todo, workers=2, timeout_s=2, ray=cluster)) == here
    assert [outcome.died for outcome in here] == [False, True, False, True, False]


def test_without_a_number_there_is_a_worker_for_each_cpu(cluster, monkeypatch):
    started = []
    real = RayWorker.start
    monkeypatch.setattr(RayWorker, "start", lambda worker: started.append(worker) or real(worker))
    found = sorted(run_jobs(jobs.start, [1, 2, 3], workers=0, ray=cluster))
    assert [outcome.outcome for outcome in found] == [1, 4, 9]
    assert len(set(started)) == 2


def test_a_job_whose_machine_is_lost_is_done_by_another_worker(cluster):
    todo = iter(["actor", 2, 3])
    work = run_jobs(jobs.start, todo, total=3, workers=1, ray=cluster)
    os.kill(next(work).outcome, signal.SIGKILL)
    assert list(work) == [(1, 4, False, ""), (2, 9, False, "")]


def test_an_error_is_raised_here(cluster):
    with pytest.raises(ValueError, match="this is no number"):
        list(run_jobs(jobs.start, [1, "fail", 2], workers=2, ray=cluster))
    with pytest.raises(RuntimeError, match="no weights"):
        list(run_jobs(jobs.refuse, [1, 2], workers=2, ray=cluster))


def test_a_machine_with_another_version_is_named(cluster, monkeypatch):
    monkeypatch.setattr(ray_worker.metadata, "version", lambda package: "9.9")
    with pytest.raises(RuntimeError, match=r"a machine of the cluster has avsync .*, this one 9.9"):
        list(run_jobs(jobs.start, [1], workers=1, ray=cluster))


def test_a_cluster_that_is_not_there_is_named():
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(RuntimeError, match=r"no Ray cluster answers at 127.0.0.1:1"):
        list(run_jobs(jobs.start, [1], workers=1, ray="127.0.0.1:1"))
