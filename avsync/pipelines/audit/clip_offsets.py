"""Measure the offset of each clip with a sync model, and decide which clips to drop or to move."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.crops import crops_for
from avsync.data.store.curation import Action, CleanRow
from avsync.data.store.reader import Store
from avsync.evaluation.sync_accuracy import decide_clip
from avsync.scoring.embeddings import SyncModel
from avsync.tasks.calibration import Calibration

# A clip whose offset is this close to the expected one is kept as it is.
NEAR_MS = 45.0
# Below this confidence a clip is not moved.
MIN_MOVE_CONFIDENCE = 0.8
# A clip of this length whose offset cannot be measured is taken to be bad: shorter ones may just
# contain too little speech.
LONG_S = 2.5


class ClipOffset(NamedTuple):
    """Offset of a clip in ms (positive = the audio leads), or the reason why there is none."""

    clip: str
    source: str
    duration_s: float
    offset_ms: float | None
    confidence: float
    reason: str


def measure_offsets(
    model: SyncModel,
    calibration: Calibration,
    store: Store,
    indices: Sequence[int],
    search_s: float = 1.0,
) -> Iterator[ClipOffset]:
    """Measure clips one by one, as `avsync check` does with videos.

    Args:
        model: a sync task in eval mode.
        calibration: turns its scores into an offset with a confidence.
        store: prepared clips.
        indices: of the clips to measure.
        search_s: seconds searched to either side.
    """
    for index in indices:
        clip = store[index]
        crops = crops_for(model.spec, clip)
        if len(crops) < model.spec.window_frames:
            yield ClipOffset(clip.id, clip.source, clip.duration_s, None, 0.0, "too_short")
            continue
        decision = decide_clip(model, crops, np.asarray(clip.wav_16k), calibration, search_s)
        yield ClipOffset(
            clip.id,
            clip.source,
            clip.duration_s,
            decision.offset_ms,
            decision.confidence,
            decision.reason or "",
        )


def clean_rows(
    offsets: Iterable[ClipOffset], expected_ms: float = 0.0, move: bool = True
) -> list[CleanRow]:
    """Decide for each clip whether it is kept, moved into sync, or dropped.

    Args:
        offsets: of the clips.
        expected_ms: offset that all clips are expected to have.
        move: move clips whose offset is certainly another one; False drops them.
    """
    return [_row(offset, expected_ms, move) for offset in offsets]


def _row(clip: ClipOffset, expected_ms: float, move: bool) -> CleanRow:
    offset_ms = clip.offset_ms
    if offset_ms is None:
        bad = clip.duration_s >= LONG_S
        why = clip.reason if bad else f"{clip.reason}, but only {clip.duration_s:.1f} s long"
        return CleanRow(clip.clip, clip.source, "drop" if bad else "keep", None, 0.0, why)
    if abs(offset_ms - expected_ms) <= NEAR_MS:
        return CleanRow(clip.clip, clip.source, "keep", offset_ms, clip.confidence, "")
    sure = clip.confidence >= MIN_MOVE_CONFIDENCE
    action: Action = "move" if move and sure else "drop"
    why = f"{offset_ms - expected_ms:+.0f} ms off" + ("" if sure else ", unsure")
    return CleanRow(clip.clip, clip.source, action, offset_ms, clip.confidence, why)
