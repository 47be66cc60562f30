"""Write media files atomically: a complete file replaces the destination, or nothing changes."""

import errno
import os
import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from avsync.media.container import ffmpeg_message

# Letters of the destination's name in the partial file's name, which may have 255 bytes.
STEM_LETTERS = 40
PARTIAL = re.compile(r"\.(?P<host>[\w-]*)-(?P<pid>\d+)-[0-9a-f]{8}\.part$")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_destination(source: Path, destination: Path, *, overwrite: bool = False) -> None:
    """Check that a destination may be written.

    Raises:
        ValueError: if it is the source itself.
        FileExistsError: if it exists and `overwrite` is not set.
        IsADirectoryError, FileNotFoundError, PermissionError: if it cannot be written.
    """
    if source.exists() and destination.exists() and source.samefile(destination):
        raise ValueError(f"destination must not be the source itself, got {destination}")
    if destination.is_dir():
        raise IsADirectoryError(f"{destination} is a folder, expected a file")
    if destination.exists() and not overwrite:
        raise FileExistsError(f"{destination} exists already and is not overwritten")
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"the folder {destination.parent} does not exist")
    if not os.access(destination.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {destination.parent} may not be written to")


@contextmanager
def atomic_output(destination: Path) -> Iterator[Path]:
    """Yield a partial path that replaces `destination` when the block ends without an error.

    After an error it is removed. Partial files of killed processes are removed by the next call.
    """
    _remove_leftovers(destination)
    # The muxer depends on the extension, so it comes last.
    token = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    stem = destination.stem[:STEM_LETTERS]
    partial = destination.with_name(f".{stem}.{token}.part{destination.suffix}")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
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


def _remove_leftovers(destination: Path) -> None:
    start = f".{destination.stem[:STEM_LETTERS]}."
    with suppress(OSError):
        for path in destination.parent.iterdir():
            if not path.name.startswith(start) or path.suffix != destination.suffix:
                continue
            found = PARTIAL.search(path.stem)
            if found and found["host"] == _host() and not _lives(int(found["pid"])):
                path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    if os.name != "posix":
        return True  # On Windows, os.kill with signal 0 would end the process.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _host() -> str:
    return re.sub(r"[^\w-]", "_", platform.node())[:STEM_LETTERS]
