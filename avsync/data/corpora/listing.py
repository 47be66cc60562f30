"""Videos that a corpus lists: their names, splits and valid segments."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Start and end of a segment of a video, in seconds.
TimeRange = tuple[float, float]


class ListedVideo(NamedTuple):
    """A video that a corpus lists, whether or not it is on disk.

    Args:
        path: where it should be.
        source: its name in a store, unique and with the speaker's folder before the last part.
        split: the split that lists it.
        segments: valid segments of the file; None if all of it is valid.
    """

    path: Path
    source: str
    split: str
    segments: tuple[TimeRange, ...] | None = None


def find_lists(
    folders: Sequence[Path], lists: Sequence[str | Path], default_names: Sequence[str]
) -> list[Path]:
    """Return the paths of the given lists, or of all default ones if none is given.

    Args:
        folders: where lists are looked up, in this order.
        lists: files, or names of files in one of the folders.
        default_names: names under which the corpus distributes its lists.

    Raises:
        ValueError: a list does not exist, or no default one.
    """
    existing = [folder for folder in folders if folder.is_dir()]
    if lists:
        return [_find(Path(path), existing) for path in lists]
    found = []
    for name in default_names:
        found += [folder / name for folder in existing if (folder / name).is_file()][:1]
    if not found:
        raise ValueError(
            f"no list is in {folders[0]}: say which one with --list "
            f"(the corpus has {', '.join(default_names)})"
        )
    return found


def _find(path: Path, folders: Sequence[Path]) -> Path:
    for candidate in (path, *(folder / path for folder in folders)):
        if candidate.is_file():
            return candidate
    searched = folders[0] if folders else "a folder"
    raise ValueError(f"list {path} is neither a file nor in {searched}")
