"""Splits of a store: a JSON file of source names by split, as corpora distribute it."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from avsync.atomic import write_text
from avsync.data.store.reader import Store
from avsync.json_files import read_json

SPLITS_FILE = "splits.json"


def clips_of_split(store: Store, splits: str | Path | None, split: str) -> list[int]:
    """Return the indices in the store of the clips whose source file is listed in a split.

    Args:
        store: prepared clips.
        splits: a JSON file `{"train": ["name", ...], ...}`; a name is a source without suffix, with
            as many of its folders as are needed to make it unique. None selects all clips.
        split: a key of that file.

    Raises:
        ValueError: the file has no such split, or the store has no clip of it.
    """
    if splits is None:
        return list(range(len(store)))
    names = _read(splits)
    if not isinstance(names.get(split), list):
        known = ", ".join(names) or "none"
        raise ValueError(f"split must be one of {known} of {splits}, got {split!r}")
    if not all(isinstance(name, str) for name in names[split]):
        raise ValueError(f"split {split!r} of {splits} must be a list of names")
    wanted = set(names[split])
    indices = [i for i, row in enumerate(store.rows) if not wanted.isdisjoint(_names(row.source))]
    if not indices:
        raise ValueError(f"store {store.path} holds no clip of split {split!r} of {splits}")
    return indices


def splits_of(splits: str | Path) -> list[str]:
    """Return the names of the splits in a file; ValueError if it is no JSON file."""
    return list(_read(splits))


def update_splits(store: Path, names: dict[str, list[str]]) -> Path:
    """Write these splits to `splits.json` of a store, keeping the others that are there.

    Args:
        store: the store's folder.
        names: names of sources by split.

    Returns:
        The path of the file.

    Raises:
        RuntimeError: the file exists and cannot be read.
    """
    path = store / SPLITS_FILE
    known: dict[str, list[str]] = {}
    if path.exists():
        try:
            known = dict(read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise RuntimeError(f"{path} is damaged: {error}") from error
    write_text(path, json.dumps(known | names, indent=1) + "\n")
    return path


def source_name(source: str) -> str:
    """Return the name of a source in a file of splits: without its suffix."""
    return PurePosixPath(source).with_suffix("").as_posix()


def _names(source: str) -> set[str]:
    """Return the names of a source: `a/b/c.mp4` is listed as `c`, `b/c` or `a/b/c`."""
    parts = source_name(source).split("/")
    return {"/".join(parts[first:]) for first in range(len(parts))}


def _read(splits: str | Path) -> dict[str, Any]:
    try:
        names = read_json(splits)
    except (OSError, ValueError) as error:
        raise ValueError(f"splits must be a JSON file of names, got {splits}: {error}") from error
    return names if isinstance(names, dict) else {}
