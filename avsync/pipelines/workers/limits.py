"""Limits of memory and CPU time of worker processes: a file that exceeds them only costs itself.

The system enforces them where it can: Linux both, macOS CPU time, Windows neither.
"""

import os
import signal
from pathlib import Path

from avsync.media.open_limits import own_process, private_bytes

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# A worker may grow by this after its models are loaded. The decoder of an 8K video keeps up to 20
# frames of 54 MB, and as many of 10 bits are twice as large.
WORKER_GROWTH_BYTES = 4 << 30
# CPU time of a file: these seconds, and more by its size. An hour of slides in 30 MB gets 55 min,
# five times what `check` takes for an hour of HD on one core.
FILE_CPU_S, FILE_CPU_S_PER_MB = 300, 100

MEMORY_CAUSE = f"it takes more memory than the limit of a worker, {WORKER_GROWTH_BYTES >> 30} GiB"
DEATH_CAUSE = "reading it killed the process"


def limit_worker_memory() -> None:
    """Limit the growth of this process from now on, and write no core files of it."""
    own_process()
    if resource is None:
        return
    _lower(resource.RLIMIT_CORE, 0)
    used = private_bytes()
    if used is not None:
        _lower(resource.RLIMIT_DATA, used + WORKER_GROWTH_BYTES)


def limit_file_cpu(path: str | Path) -> None:
    """Let the system end this process if it spends more CPU time than a file of its size needs."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit_s = int(used.ru_utime + used.ru_stime) + 1 + file_cpu_s(path)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or limit_s < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, hard))


def file_cpu_s(path: str | Path) -> int:
    """Return the CPU seconds that a worker may spend on a file."""
    try:
        size = os.path.getsize(path)
    except OSError:
        size = 0
    return FILE_CPU_S + FILE_CPU_S_PER_MB * size // 1_000_000


def death_cause(exit_code: int | None) -> str:
    """Return in words why a worker ended, by its exit code: a negative one is a signal."""
    if exit_code is None or exit_code >= 0:
        return DEATH_CAUSE
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        return DEATH_CAUSE
    if name == "SIGXCPU":
        limit = f"{FILE_CPU_S} s and {FILE_CPU_S_PER_MB} s per MB"
        return f"it takes more CPU time than the limit of a worker, {limit}"
    more = ", as if the memory were used up" if name in ("SIGKILL", "SIGABRT") else ""
    return f"{DEATH_CAUSE} ({name}{more})"


def is_cpu_limit(exit_code: int | None) -> bool:
    """Return whether a process ended because of its limit of CPU time, as it would again."""
    return exit_code is not None and exit_code == -getattr(signal, "SIGXCPU", 0) != 0


def _lower(kind: int, limit: int) -> None:
    soft, hard = resource.getrlimit(kind)
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(kind, (limit, hard))
