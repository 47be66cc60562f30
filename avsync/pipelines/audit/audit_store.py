"""What is in a store before a model is trained on it: `avsync audit STORE`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.store.clip_stats import measure_clip
from avsync.data.store.curation import write_clean_list
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.pipelines.audit import findings as look_for
from avsync.pipelines.audit.findings import ClipOffset, Finding, clean_rows, measure_offsets
from avsync.pipelines.check.check_file import load_model
from avsync.scoring.engine import SyncModel
from avsync.tasks.calibration import calibration_of


class Audit(NamedTuple):
    """What was found in a store, of how many clips; `looked` of them were opened."""

    store: str
    clips: int
    looked: int
    findings: tuple[Finding, ...]

    def lines(self) -> list[str]:
        """Return the findings as a table in words."""
        head = f"{self.clips} clips of {self.store}"
        if self.looked < self.clips:
            head += f", {self.looked} of them opened"
        width = max(len(finding.topic) for finding in self.findings)
        signs = {True: "ok", False: "!!"}
        return [head, *(f"{signs[f.ok]} {f.topic:<{width}}  {f.text}" for f in self.findings)]

    def warnings(self) -> list[str]:
        """Return what is wrong, a line each."""
        return [f"{self.store}: {f.topic}: {f.text}" for f in self.findings if not f.ok]


def audit(
    data: str | Path,
    *,
    splits: str | Path | None = None,
    split: str = "train",
    clips: int = 200,
    measured: int = 30,
    model: str | SyncModel = "dense_sync",
    weights: str | Path | None = None,
    corpus_offset_ms: float = 0.0,
    clean: str | Path | None = None,
    move: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Audit:
    """Look at the clips of a split; nothing in the store is changed.

    Args:
        data: a store of prepared clips.
        splits: JSON file of clip names by split; all clips where it is not given.
        split: a key of that file.
        clips: how many clips are opened, evenly spread; 0 for all.
        measured: how many of them a model measures the offset of; 0 for none.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one.
        corpus_offset_ms: constant offset that the clips are known to have (positive = the audio
            leads); clips are judged against it.
        clean: write a table here that says of every clip of the split, measured by the model, what
            becomes of it; recipes take it.
        move: whether clips that are surely off are moved by that table; else they are dropped.
        progress: told the share of clips done, 0 to 1.
    """
    store = Store(data)
    places = clips_of_split(store, splits, split)
    if not places:
        raise ValueError(f"store {store.path} holds no clips")
    opened = _spread(places, clips)
    to_measure = places if clean is not None else _spread(places, measured) if measured else []
    total = len(opened) + len(to_measure)

    def done(count: int) -> None:
        if progress is not None:
            progress(count / total)

    looks = []
    for count, place in enumerate(opened, start=1):
        looks.append(measure_clip(store[place]))
        done(count)
    offsets: list[ClipOffset] = []
    if to_measure:
        sync_model = load_model(model, weights)
        for each in measure_offsets(sync_model, calibration_of(sync_model), store, to_measure):
            offsets.append(each)
            done(len(opened) + len(offsets))
    if clean is not None:
        write_clean_list(clean, clean_rows(offsets, corpus_offset_ms, move))
    rows, seen = ([store.rows[place] for place in some] for some in (places, opened))
    findings = [
        look_for.lengths(rows),
        look_for.faces(rows, store.path),
        look_for.frames(looks, seen),
        look_for.silence(looks, seen),
        look_for.duplicates(looks, seen),
        look_for.speakers(rows, store, splits, split),
        *([look_for.offsets(offsets, corpus_offset_ms)] if offsets else []),
    ]
    return Audit(store.path.name, len(places), len(opened), tuple(findings))


def _spread(places: list[int], count: int) -> list[int]:
    """So many of them, evenly spread; all where `count` is 0."""
    count = min(count or len(places), len(places))
    return [places[k] for k in np.linspace(0, len(places) - 1, count).astype(int)]
