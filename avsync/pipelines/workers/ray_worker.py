"""A worker process on a machine of a Ray cluster: an actor that keeps a `ProcessWorker` there.

Limits, time-outs and causes of deaths are therefore those of one machine. Jobs and outcomes pass
through the object store: keep them small, as paths and rows are.
"""

import os
import socket
from concurrent.futures import Future, wait
from importlib import metadata
from typing import Any

from avsync.extras import require_extra
from avsync.pipelines.workers.process_worker import ProcessWorker, Reply, Start

LOCAL = "local"
CONNECT_S = 10.0
LOST = "its machine was lost again and again"


def connect(address: str) -> None:
    """Connect to a Ray cluster, or start one on this machine for the address `local`.

    Raises:
        RuntimeError: ray is not installed, or there is no such cluster.
    """
    require_extra("scale", "a Ray cluster")
    import ray

    if ray.is_initialized():
        return
    try:
        _look_for(address)
        ray.init(
            address=address,
            log_to_driver=False,
            include_dashboard=False if address == LOCAL else None,
            configure_logging=False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise RuntimeError(f"no Ray cluster answers at {address}: {error}") from error


def _look_for(address: str) -> None:
    """Fail at once where nothing listens at `host:port`: Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()


def cluster_cpus() -> int:
    """Return the number of CPUs of the cluster's machines, at least 1."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


class RayWorker:
    """One actor and its process; a new one when they are lost.

    Args:
        start: see `Start`; picklable.
        index: number of the worker.
    """

    def __init__(self, start: Start, index: int) -> None:
        import ray

        self._host = ray.remote(num_cpus=1, max_restarts=0)(WorkerHost)
        self._arguments = (start, index, os.getcwd(), metadata.version("avsync"))
        self._actor: Any = None

    @property
    def share(self) -> float:
        """Share of the present job that is done: 0, as asking would cost a message."""
        return 0.0

    def start(self) -> "Future[Any]":
        """Start an actor, where the cluster has a free CPU, and load what its jobs need."""
        if self._actor is None:
            self._actor = self._host.remote(*self._arguments)
        started: Future[Any] = self._actor.start.remote().future()
        return started

    def submit(self, job: Any, timeout_s: float | None) -> "Future[Any]":
        """Do a job in the process; pass the future to `reply` once it is done."""
        done: Future[Any] = self._actor.do.remote(job, timeout_s).future()
        return done

    def reply(self, future: "Future[Any]") -> Reply:
        """Return what became of a job, or of the start, whose future is done."""
        from ray.exceptions import RayActorError, RayTaskError

        error = future.exception()
        if error is None:
            reply: Reply = future.result()
            return reply
        if isinstance(error, RayActorError):
            self._actor = None
            return Reply("lost", cause=LOST)
        cause = error.cause if isinstance(error, RayTaskError) else error
        return Reply("error", cause if isinstance(cause, Exception) else error)

    def stop(self) -> None:
        """End the actor and its process, whatever it is doing."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
        self._actor = None


class WorkerHost:
    """Actor that keeps a worker process on its machine."""

    def __init__(self, start: Start, index: int, folder: str, version: str) -> None:
        self._folder, self._version = folder, version
        self._worker = ProcessWorker(start, index)

    def start(self) -> Reply:
        """Start the process.

        Raises:
            RuntimeError, OSError: this machine has another version, or not the folder that relative
                paths start from. Not raised by the constructor: a lost actor would look the same.
        """
        here = metadata.version("avsync")
        if here != self._version:
            raise RuntimeError(
                f"a machine of the cluster has avsync {here}, this one {self._version}"
            )
        os.chdir(self._folder)
        return self._wait(self._worker.start())

    def do(self, job: Any, timeout_s: float | None) -> Reply:
        """Do a job; after a death, the process must be started again."""
        return self._wait(self._worker.submit(job, timeout_s))

    def _wait(self, future: "Future[Any]") -> Reply:
        wait([future])
        return self._worker.reply(future)
