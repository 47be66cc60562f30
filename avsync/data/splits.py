"""Which clips of a store belong to a split: a JSON file of names by split, as corpora give it."""

import json
from pathlib import Path

from avsync.data.store import Store


def clips_of_split(store: Store, splits: str | Path | None, split: str) -> list[int]:
    """Places in the store of the clips whose source file is named in `split`.

    Args:
        store: prepared clips.
        splits: a JSON file `{"train": ["name", ...], ...}`, names without folder and suffix; None
            stands for all clips.
        split: a key of that file.

    ValueError where the file has no such split, or where no clip of it is in the store.
    """
    if splits is None:
        return list(range(len(store)))
    try:
        names = json.loads(Path(splits).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"splits must be a JSON file of names, got {splits}: {error}") from error
    if not isinstance(names, dict) or not isinstance(names.get(split), list):
        known = ", ".join(names) if isinstance(names, dict) else "none"
        raise ValueError(f"split must be one of {known} of {splits}, got {split!r}")
    wanted = set(names[split])
    places = [i for i, row in enumerate(store.rows) if Path(row["source"]).stem in wanted]
    if not places:
        raise ValueError(f"store {store.path} holds no clip of split {split!r} of {splits}")
    return places
