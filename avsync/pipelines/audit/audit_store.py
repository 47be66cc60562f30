"""Audit a store before a model is trained on it: `avsync audit STORE`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.store.clip_stats import measure_clip
from avsync.data.store.curation import CLEAN_TABLE, write_clean_list
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.outputs import check_output
from avsync.pipelines.audit.clip_offsets import ClipOffset, clean_rows, measure_offsets
from avsync.pipelines.audit.findings import (
    AuditFinding,
    audit_duplicates,
    audit_faces,
    audit_frames,
    audit_lengths,
    audit_offsets,
    audit_silence,
    audit_speakers,
)
from avsync.pipelines.check.check_file import load_model
from avsync.scoring.embeddings import SyncModel
from avsync.tasks.calibration import calibration_of


class Audit(NamedTuple):
    """Findings about the clips of a store; `opened` of them were opened."""

    store: str
    clips: int
    opened: int
    findings: tuple[AuditFinding, ...]

    def lines(self) -> list[str]:
        """Return the findings as lines of a table."""
        head = f"{self.clips} clips of {self.store}"
        if self.opened < self.clips:
            head += f", {self.opened} of them opened"
        width = max(len(finding.topic) for finding in self.findings)
        signs = {True: "ok", False: "!!"}
        return [head, *(f"{signs[f.ok]} {f.topic:<{width}}  {f.text}" for f in self.findings)]

    def warnings(self) -> list[str]:
        """Return one line for each finding that is not ok."""
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
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Audit:
    """Audit the clips of a split; nothing in the store is changed.

    Args:
        data: a store of prepared clips.
        splits: JSON file of clip names by split; all clips if it is not given.
        split: a key of that file.
        clips: clips that are opened, evenly spaced; 0 for all.
        measured: clips whose offset is measured by a model, evenly spaced; 0 for none.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one.
        corpus_offset_ms: constant offset that the clips are known to have (positive = the audio
            leads); clips are judged against it.
        clean: measure every clip of the split and write a clean table here, which recipes take.
        move: whether that table moves clips that are certainly off; else it drops them.
        overwrite: let `clean` replace a file that is no clean table.
        progress: called with the share of clips that are done, from 0 to 1.
    """
    if clean is not None:
        inputs = [path for path in (splits, weights) if path is not None]
        check_output(clean, CLEAN_TABLE, inputs, overwrite=overwrite)
    store = Store(data)
    indices = clips_of_split(store, splits, split)
    if not indices:
        raise ValueError(f"store {store.path} holds no clips")
    opened = _evenly_spaced(indices, clips)
    to_measure: list[int] = []
    if clean is not None:
        to_measure = indices
    elif measured:
        to_measure = _evenly_spaced(indices, measured)
    total = len(opened) + len(to_measure)

    def report(done: int) -> None:
        if progress is not None:
            progress(done / total)

    stats = []
    for done, index in enumerate(opened, start=1):
        stats.append(measure_clip(store[index]))
        report(done)
    offsets: list[ClipOffset] = []
    if to_measure:
        sync_model = load_model(model, weights)
        for offset in measure_offsets(sync_model, calibration_of(sync_model), store, to_measure):
            offsets.append(offset)
            report(len(opened) + len(offsets))
    if clean is not None:
        write_clean_list(clean, clean_rows(offsets, corpus_offset_ms, move), overwrite=overwrite)
    rows = [store.rows[index] for index in indices]
    opened_rows = [store.rows[index] for index in opened]
    findings = [
        audit_lengths(rows),
        audit_faces(rows, store.path),
        audit_frames(stats, opened_rows),
        audit_silence(stats, opened_rows),
        audit_duplicates(stats, opened_rows),
        audit_speakers(rows, store, splits, split),
        *([audit_offsets(offsets, corpus_offset_ms)] if offsets else []),
    ]
    return Audit(store.path.name, len(indices), len(opened), tuple(findings))


def _evenly_spaced(indices: list[int], count: int) -> list[int]:
    """Return `count` of the indices, evenly spaced; all if `count` is 0."""
    count = min(count or len(indices), len(indices))
    return [indices[k] for k in np.linspace(0, len(indices) - 1, count).astype(int)]
