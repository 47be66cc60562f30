"""The offset of each clip of a store by a model, and what becomes of the clip by it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from avsync.data.clean_list import CleanRow
from avsync.data.clip_crops import crops_for
from avsync.data.store import Store
from avsync.scoring.accuracy import answer_clip
from avsync.scoring.engine import SyncModel
from avsync.scoring.offset import Calibration

# A clip whose offset is this near to what is expected stays as it is.
NEAR_MS = 45.0
# Below this confidence a clip is not moved.
SURE = 0.8
# A clip this long that cannot be told is taken to be bad: shorter ones may just say too little.
LONG_S = 2.5


class ClipOffset(NamedTuple):
    """A clip's offset in ms, positive = the audio leads, or why it cannot be told."""

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
    places: Sequence[int],
    search_s: float = 1.0,
) -> Iterator[ClipOffset]:
    """Measures clips as `avsync check` would, one after the other."""
    for place in places:
        clip = store[place]
        crops = crops_for(model.spec, clip)
        duration_s = clip.duration_s
        if len(crops) < model.spec.window_frames:
            yield ClipOffset(clip.id, clip.source, duration_s, None, 0.0, "too_short")
            continue
        answer = answer_clip(model, crops, np.asarray(clip.wav_16k), calibration, search_s)
        yield ClipOffset(
            clip.id,
            clip.source,
            duration_s,
            answer.offset_ms,
            answer.confidence,
            answer.reason or "",
        )


def clean_rows(
    offsets: Iterable[ClipOffset], expected_ms: float = 0.0, move: bool = True
) -> list[CleanRow]:
    """What is to become of each clip: kept, moved to where its voice belongs, or dropped.

    Args:
        offsets: of the clips.
        expected_ms: offset that all clips are expected to have.
        move: move clips that are surely off; False drops them.
    """
    return [_row(each, expected_ms, move) for each in offsets]


def _row(each: ClipOffset, expected_ms: float, move: bool) -> CleanRow:
    known = each.offset_ms
    if known is None:
        bad = each.duration_s >= LONG_S
        why = each.reason if bad else f"{each.reason}, but only {each.duration_s:.1f} s long"
        return CleanRow(each.clip, each.source, "drop" if bad else "keep", None, 0.0, why)
    if abs(known - expected_ms) <= NEAR_MS:
        return CleanRow(each.clip, each.source, "keep", known, each.confidence, "")
    sure = move and each.confidence >= SURE
    why = f"{known - expected_ms:+.0f} ms off" + ("" if each.confidence >= SURE else ", unsure")
    return CleanRow(each.clip, each.source, "move" if sure else "drop", known, each.confidence, why)
