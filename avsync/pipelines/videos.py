"""Which files are meant: videos by name, by pattern, or all videos in a folder."""

from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

SUFFIXES = {
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"),
    *(".3gp", ".flv", ".m2ts", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".wmv"),
}


def find_videos(named: Iterable[str | Path]) -> list[Path]:
    """The files named, in that order and each once; a folder stands for the videos in and below it.

    Hidden files of a folder are left out. A name that is not there is kept, for the answer to say
    so. ValueError for a folder without videos.
    """
    return list(dict.fromkeys(video for name in named for video in _videos(Path(name))))


def _videos(path: Path) -> Iterator[Path]:
    if path.is_dir():
        videos = sorted(
            p
            for p in path.rglob("*")
            # Hidden ones are no videos: `._a.mp4` is what a Mac leaves beside each a.mp4.
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
        )
        if not videos:
            raise ValueError(f"there is no video in the folder {path}")
        yield from videos
    elif has_magic(str(path)) and not path.exists():
        # A shell that does not expand patterns hands them over as they are.
        yield from sorted(map(Path, glob(str(path), recursive=True))) or [path]
    else:
        yield path
