"""Write media files atomically: a complete file replaces the destination, or nothing changes."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from avsync.atomic import partial_path, remove_leftovers
from avsync.media.container import ffmpeg_message

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_destination(source: Path, destination: Path, *, overwrite: bool = False) -> None:
    """Check that a destination may be written.

    Raises:
        ValueError: if it is the source itself, or a pipe or a device.
        FileExistsError: if it exists and `overwrite` is not set.
        IsADirectoryError, FileNotFoundError, PermissionError: if it cannot be written.
    """
    if source.exists() and destination.exists() and source.samefile(destination):
        raise ValueError(f"destination must not be the source itself, got {destination}")
    if destination.is_dir():
        raise IsADirectoryError(f"{destination} is a folder, expected a file")
    if destination.exists() and not destination.is_file():
        raise ValueError(f"{destination} is a pipe or a device, expected a file")
    if destination.exists() and not overwrite:
        raise FileExistsError(f"{destination} exists already and is not overwritten")
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"the folder {destination.parent} does not exist")
    if not os.access(destination.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {destination.parent} may not be written to")


@contextmanager
def atomic_output(destination: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a partial path that replaces `destination` when the block ends without an error.

    After an error it is removed. Partial files of killed processes are removed by the next call.

    Raises:
        FileExistsError: `overwrite` is not set, and a file has appeared there meanwhile.
    """
    remove_leftovers(destination)
    partial = partial_path(destination)
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        if destination.exists() and not overwrite:
            raise FileExistsError(f"{destination} has appeared meanwhile and is not overwritten")
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def explain_write_errors(source: Path, destination: Path) -> Iterator[None]:
    """Translate errors of FFmpeg and the system while a file is written into plain messages."""
    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        if number in FULL:
            cause = f"{destination.name} cannot be written: there is no space left for it"
            full = OSError(f"{cause} in {destination.parent}")
            full.errno = number  # Passed to the constructor, it would precede the message.
            raise full from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PermissionError(f"{destination} may not be written") from error
        kind = destination.suffix or "a file without extension"
        cause = f"{source.name} cannot be copied into {kind}: {ffmpeg_message(error)}"
        raise RuntimeError(cause) from error
