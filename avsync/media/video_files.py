"""Find the videos that names on a command line stand for, and tell equal ones by their content."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

# File extensions that count as videos in a folder.
SUFFIXES = {
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"),
    *(".3gp", ".flv", ".m2ts", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".wmv"),
}


def find_videos(named: Iterable[str | Path]) -> list[Path]:
    """Return the named files in order, each once; folders stand for the videos in and below them.

    Hidden files of a folder are left out. A missing file is kept: its result will say so.

    Raises:
        ValueError: if there is no video in a folder.
    """
    return list(dict.fromkeys(video for name in named for video in _videos(Path(name))))


def _videos(path: Path) -> Iterator[Path]:
    # Unlike `path.is_dir()`, it takes a name that no file can have, which costs only itself.
    if os.path.isdir(path):
        videos = sorted(
            p
            for p in path.rglob("*")
            # Hidden files are no videos: macOS leaves `._a.mp4` beside each a.mp4.
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
        )
        if not videos:
            raise ValueError(f"there is no video in the folder {path}")
        yield from videos
    elif has_magic(str(path)) and not os.path.lexists(path):
        # Some shells do not expand patterns.
        yield from sorted(map(Path, glob(str(path), recursive=True))) or [path]
    else:
        yield path


def content_hash(path: Path) -> str | None:
    """Return the SHA-256 of a file, as hexadecimal digits; None if it cannot be read."""
    try:
        # A pipe or a device would be read without an end.
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
