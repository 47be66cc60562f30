"""Locks: one process at a time writes to a file or a folder."""

import os
import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from avsync.atomic import STEM_LETTERS


class InUseError(RuntimeError):
    """Raised where another process, or another call of this one, writes to the same output."""


@contextmanager
def locked(path: str | Path, *, wait_s: float = 0) -> Iterator[None]:
    """Hold the lock of a file or a folder during the block; it is free again when a process dies.

    The lock is a hidden file beside the path that names its holder.

    Args:
        path: what is written.
        wait_s: seconds to wait for whoever holds the lock.

    Raises:
        InUseError: someone else holds it.
    """
    # filelock comes with torch; imported here, because it takes as long as the rest of the command.
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.absolute().parent / f".{path.name[: 2 * STEM_LETTERS]}.lock"
    lock = FileLock(beside)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise InUseError(
            f"{path} is being written by {_holder(beside)}: wait for it, stop it, or choose "
            "another output"
        ) from error
    except (OSError, NotImplementedError) as error:
        # Some network file systems have no locks, and that is no reason not to work there.
        warnings.warn(
            f"{path} cannot be locked ({error}): make sure that nothing else writes to it",
            stacklevel=3,
        )
        yield
        return
    try:
        with suppress(OSError):
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            beside.write_text(f"process {os.getpid()} on {platform.node()} since {since}\n")
        yield
    finally:
        # Removed while it is held: whoever takes a removed file notices that it guards no name.
        with suppress(OSError):
            beside.unlink()
        lock.release()


def _holder(lock: Path) -> str:
    try:
        return lock.read_text("utf-8", "replace").strip()[:200] or "another process"
    except OSError:
        return "another process"
