"""Atomic file replacement: write a temporary file in the same folder, then rename it."""

import os
import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from stat import S_ISCHR, S_ISFIFO

# Letters of the destination's name in the partial file's name, which may have 255 bytes.
STEM_LETTERS = 40
CLEANED_FOLDERS = 4096
# End of the stem of a partial file: the host and process that write it, and a random number.
WRITER = re.compile(r"\.(?P<host>[\w-]*)-(?P<pid>\d+)-[0-9a-f]{8}\.part$")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends without an exception.

    A process that dies in between leaves the old file unchanged, and its temporary file is removed
    by the next process on that host that writes to the folder. The suffix is kept, for writers that
    choose their format by it. Missing folders are created.

    Raises:
        OSError: the path is a device or a pipe, which a file must not replace.
    """
    path = Path(path)
    if is_stream(path):
        raise OSError(f"{path} is a device or a pipe, expected a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    _clean_folder(path.parent.absolute())
    temporary = partial_path(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to `path` atomically; stray bytes of file names as `\\udcff`.

    A device or a pipe (`/dev/stdout`) is written to, not replaced.
    """
    if is_stream(Path(path)):
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def is_stream(path: Path) -> bool:
    """Return whether a path is a character device or a pipe; all of `/dev` counts as such."""
    # What /dev/stdout leads to may be a file, but the link itself must stay.
    if path.is_absolute() and path.parts[1:2] == ("dev",) and "shm" not in path.parts:
        return path.exists()
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return S_ISCHR(mode) or S_ISFIFO(mode)


def partial_path(path: Path) -> Path:
    """Return a new hidden path beside `path` whose name says which process writes it."""
    token = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    # The muxer depends on the extension, so it comes last.
    return path.with_name(f".{path.stem[:STEM_LETTERS]}.{token}.part{path.suffix[:STEM_LETTERS]}")


def remove_leftovers(path: Path) -> None:
    """Remove the partial files of `path` that processes of this host left when they were killed."""
    start, suffix = f".{path.stem[:STEM_LETTERS]}.", path.suffix[:STEM_LETTERS]
    with suppress(OSError):
        for found in path.parent.iterdir():
            if found.name.startswith(start) and found.suffix == suffix and is_abandoned(found):
                found.unlink(missing_ok=True)


@lru_cache(CLEANED_FOLDERS)
def _clean_folder(folder: Path) -> None:
    # Once in a process, because a folder of landmarks holds a file for each of 100 000 clips.
    with suppress(OSError):
        for found in folder.iterdir():
            if is_abandoned(found) and not found.is_dir():
                found.unlink(missing_ok=True)


def is_abandoned(partial: Path) -> bool:
    """Return whether a path is the partial one of a process of this host that is not running."""
    # A folder, which has no suffix, ends in .part itself.
    name = partial.name if partial.name.endswith(".part") else partial.stem
    writer = WRITER.search(name)
    return writer is not None and writer["host"] == _host() and not _lives(int(writer["pid"]))


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
