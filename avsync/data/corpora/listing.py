"""What a corpus lists: its videos, by what name, in which split, and which parts of them count."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

Span = tuple[float, float]


class ListedVideo(NamedTuple):
    """A video that a corpus lists, on disk or not.

    `source` is its name in a store, unique and with the speaker's folder before the last part.
    `spans` are the valid parts `(start_s, end_s)` of the file; None stands for all of it.
    """

    path: Path
    source: str
    split: str
    spans: tuple[Span, ...] | None = None


def find_lists(
    folders: Sequence[Path], lists: Sequence[str | Path], usual: Sequence[str]
) -> list[Path]:
    """Return the lists named, as files or in one of the folders; without names, the usual ones there.

    ValueError where one is not there, or none of the usual.
    """
    places = [folder for folder in folders if folder.is_dir()]
    if lists:
        return [_find(Path(path), places) for path in lists]
    found = []
    for name in usual:
        found += [place / name for place in places if (place / name).is_file()][:1]
    if not found:
        raise ValueError(
            f"no list is in {folders[0]}: say which one with --list "
            f"(the corpus has {', '.join(usual)})"
        )
    return found


def _find(path: Path, places: Sequence[Path]) -> Path:
    for candidate in (path, *(place / path for place in places)):
        if candidate.is_file():
            return candidate
    raise ValueError(f"list {path} is neither a file nor in {places[0] if places else 'a folder'}")
