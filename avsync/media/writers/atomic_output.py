"""A new media file beside its place: it is whole or not there, and where it cannot be written, the
error says so in plain words."""

import errno
import os
import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from avsync.media.container import first_line

# Names are at most 255 bytes long; so much of the destination's goes into the partial one's.
STEM_LETTERS = 40
PARTIAL = re.compile(r"\.(?P<host>[\w-]*)-(?P<pid>\d+)-[0-9a-f]{8}\.part$")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refuse_destination(source: Path, destination: Path, *, overwrite: bool = False) -> None:
    """Raise the error of a destination that must not or cannot be written; else does nothing."""
    if source.exists() and destination.exists() and source.samefile(destination):
        raise ValueError(f"destination must not be the source itself, got {destination}")
    if destination.is_dir():
        raise IsADirectoryError(f"{destination} is a folder, and a file was to be written")
    if destination.exists() and not overwrite:
        raise FileExistsError(f"{destination} exists already and is not overwritten")
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"the folder {destination.parent} does not exist")
    if not os.access(destination.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {destination.parent} may not be written to")


@contextmanager
def becoming(destination: Path) -> Iterator[Path]:
    """Yield a name beside `destination`: the file written there takes its place if the block ends well.

    Else it is removed. What a killed process has left there is removed by the next one.
    """
    _remove_leftovers(destination)
    # The muxer goes by the extension, so it comes last.
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
def plain_errors(source: Path, destination: Path) -> Iterator[None]:
    """Turn what FFmpeg and the system say while a file is written into words for its owner."""
    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        if number in FULL:
            cause = f"{destination.name} cannot be written: there is no space left for it"
            full = OSError(f"{cause} in {destination.parent}")
            full.errno = number  # Given to the constructor, it would stand before the words.
            raise full from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PermissionError(f"{destination} may not be written") from error
        kind = destination.suffix or "a file without extension"
        cause = f"{source.name} cannot be copied into {kind}: {first_line(error)}"
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
        return True  # There, asking a process with signal 0 would end it.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _host() -> str:
    return re.sub(r"[^\w-]", "_", platform.node())[:STEM_LETTERS]
