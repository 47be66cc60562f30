"""Limits of memory and time while FFmpeg opens a file: headers of a kilobyte can claim gigabytes.

FFmpeg has no limit on the size of an index, on the number of tags or on cover art. Three limits are
added: on its single allocations, where its library can be reached; on the growth of the process, on
Linux; and on time. Decoding has its own limits in `container.py`.
"""

import ctypes
import errno
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# The largest single allocation of FFmpeg. An image of `MAX_PIXELS` of four channels of 16 bits
# (288 MB) fits, and an index of 13 million packets of 24 bytes, 78 hours of AAC.
MAX_ALLOC_BYTES = 320 << 20
# A file has this many streams at most; FFmpeg's own limit is 1000, and each gets a decoder.
MAX_STREAMS = 256
# The process may grow by this while a file is opened, for the decoders that are tried on it, and
# the open file may keep so much: a file is opened up to three times at once.
MAX_GROWTH_BYTES, MAX_HELD_BYTES = 640 << 20, 256 << 20
# Wall time, which FFmpeg tests between reads, and CPU time: tags cost the square of their number.
# Opening 250 streams takes 0.4 s of it, most files 0.02 s; first frames of 8K may take a second.
MAX_OPEN_S, MAX_OPEN_CPU_S = 10.0, 2.0

TOO_SLOW = f"its header could not be read within {MAX_OPEN_S:.0f} s: damaged, or on a slow disk"
# AVERROR_EXIT of FFmpeg: the reading was interrupted after the time.
EXIT_ERRNO = int.from_bytes(b"EXIT", "little")
STATUS = Path("/proc/self/status")
_own_process = threading.Event()


class OpenLimitExceeded(RuntimeError):
    """Raised for a file that needs more than the limits to be opened; `str(error)` says what."""


def own_process() -> None:
    """Allow limits that hold for the whole process: it is that of a command or of a worker.

    In the process of a user with several threads, a limit would also apply to allocations of other
    threads.
    """
    _own_process.set()


@contextmanager
def opening_limits() -> Iterator[None]:
    """Limit the memory and the time of what runs inside, which opens a file.

    Raises:
        OpenLimitExceeded: if it took more than the limits, although it succeeded.
    """
    limit_allocations()
    alone = _own_process.is_set() or threading.active_count() == 1
    before = private_bytes() if alone else None
    started_s, started_cpu_s = time.monotonic(), time.thread_time()
    with _limited_growth(before):
        yield
    cpu_s = time.thread_time() - started_cpu_s
    if cpu_s > MAX_OPEN_CPU_S:
        raise OpenLimitExceeded(
            f"its header takes {cpu_s:.1f} s of CPU time to read, and the limit is "
            f"{MAX_OPEN_CPU_S:.0f} s: it may hold too many tags, chapters or images"
        )
    # FFmpeg may take an interrupted header for a short one.
    if time.monotonic() - started_s > MAX_OPEN_S:
        raise OpenLimitExceeded(TOO_SLOW)
    after = private_bytes() if alone else None
    held = 0 if after is None or before is None else after - before
    if held > MAX_HELD_BYTES:
        raise OpenLimitExceeded(
            f"its index and metadata take {held >> 20} MiB of memory, and the limit is "
            f"{MAX_HELD_BYTES >> 20} MiB"
        )


def describe_refusal(error: BaseException) -> str | None:
    """Return in words which limit an error comes from; None if it does not come from one."""
    if isinstance(error, OpenLimitExceeded):
        return str(error)
    if getattr(error, "errno", None) == EXIT_ERRNO:
        return TOO_SLOW
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return (
            f"its header asks for more than the limits: {MAX_STREAMS} streams, "
            f"{MAX_ALLOC_BYTES >> 20} MiB for a table, {MAX_GROWTH_BYTES >> 20} MiB in all"
        )
    return None


@cache
def limit_allocations() -> bool:
    """Limit single allocations of FFmpeg in this process; return whether its library was found.

    PyAV has no function for it. A symbol of a library is also found through a module that is linked
    with it, on Linux and macOS; Windows looks into the module alone, and has no limit.
    """
    import av._core

    try:
        ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(MAX_ALLOC_BYTES))
    except (OSError, AttributeError, TypeError):
        return False
    return True


def private_bytes() -> int | None:
    """Return the private writable memory of this process, which the system may limit, or None."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")]
    return sizes[0] if sizes else None


@contextmanager
def _limited_growth(before: int | None) -> Iterator[None]:
    """Let allocations fail that would let the process grow by more than the limit."""
    if before is None:
        yield
        return
    # Not on Windows, which has no /proc either.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = before + MAX_GROWTH_BYTES
    for known in (soft, hard):
        wanted = wanted if known == resource.RLIM_INFINITY else min(wanted, known)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
