"""What is worth knowing of clips before a model is trained on them, a finding each, in words."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avsync.data.sampling.crops import crops_for
from avsync.data.store.clip_stats import ClipStats, twins
from avsync.data.store.curation import CleanRow
from avsync.data.store.reader import REJECTED_TABLE, Store
from avsync.data.store.splits import clips_of_split, splits_of
from avsync.evaluation.sync_accuracy import decide_clip
from avsync.scoring.engine import SyncModel
from avsync.tasks.calibration import Calibration
from avsync.timing import FPS, describe_offset

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
    """Measure clips as `avsync check` would, one after the other."""
    for place in places:
        clip = store[place]
        crops = crops_for(model.spec, clip)
        duration_s = clip.duration_s
        if len(crops) < model.spec.window_frames:
            yield ClipOffset(clip.id, clip.source, duration_s, None, 0.0, "too_short")
            continue
        answer = decide_clip(model, crops, np.asarray(clip.wav_16k), calibration, search_s)
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
    """Return what is to become of each clip: kept, moved to where its voice belongs, or dropped.

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


# A share of the clips from which on something is worth a warning.
MANY = 0.1
SHORT_FRAMES = 26
SMALL_PX, UNSURE = 48.0, 0.6
SLOW_FPS = 20.0
QUIET_SHARE = 0.8
# From here on a store's middle offset is not the expected one, and a clip's not like the others'.
MOVED_MS, ASTRAY_MS = 45.0, 80.0
NAMED = 3


class Finding(NamedTuple):
    """One thing looked at; `ok` is False where training will suffer from it."""

    topic: str
    ok: bool
    text: str


def lengths(rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Return how much there is, and how long a clip is."""
    frames = np.array([row["frames"] for row in rows])
    files = len({row["source"] for row in rows})
    shortest, median, longest = np.percentile(frames, [0, 50, 100]) / FPS
    text = (
        f"{frames.sum() / FPS / 60:.1f} minutes from {files} files; a clip is {median:.1f} s long "
        f"({shortest:.1f} to {longest:.1f})"
    )
    short = int((frames < SHORT_FRAMES).sum())
    if short > MANY * len(rows):
        text += f"; {short} have under {SHORT_FRAMES} frames: training leaves them out"
    return Finding("lengths", short <= MANY * len(rows), text)


def faces(rows: Sequence[Mapping[str, Any]], folder: Path) -> Finding:
    """Return how large and how surely found the faces are, and what was rejected when they were cut."""
    px, score = (np.array([row[name] for row in rows]) for name in ("face_px", "score"))
    text = f"{np.median(px):.0f} pixels wide, found with a score of {score.mean():.2f}"
    poor = int(((px < SMALL_PX) | (score < UNSURE)).sum())
    if poor:
        text += f"; {poor} small or unsure"
    rejected = _rejected(folder)
    lost_s = sum(float(row["duration_s"] or 0) for row in rejected)
    kept_s = sum(row["frames"] for row in rows) / FPS
    if rejected:
        reasons = Counter(row["reason"] for row in rejected).most_common()
        listed = ", ".join(f"{reason} {number}" for reason, number in reasons)
        text += f"; rejected {len(rejected)}: {listed} (see {REJECTED_TABLE})"
    lost = lost_s > kept_s or len(rejected) > len(rows)
    if lost:
        text += "; more was rejected than kept"
    return Finding("faces", poor <= MANY * len(rows) and not lost, text)


def frames(looks: Sequence[ClipStats], rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Return how many frames a second are new."""
    fps = np.array([look.distinct_fps for look in looks])
    slow = np.flatnonzero(fps < SLOW_FPS)
    text = f"{np.median(fps):.0f} of {FPS} frames a second are new"
    if len(slow):
        text += f"; under {SLOW_FPS:.0f} in {len(slow)}: {_names(slow, rows)}"
    if len(slow) > MANY * len(fps):
        text += "; lips that are shown twice are seen late"
    return Finding("pictures", len(slow) <= MANY * len(fps), text)


def silence(looks: Sequence[ClipStats], rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Return how much of the audio is quiet."""
    quiet = np.array([look.quiet for look in looks])
    silent = np.flatnonzero(quiet > QUIET_SHARE)
    text = f"{100 * quiet.mean():.0f} % of the audio is quiet"
    if len(silent):
        text += f"; nearly all of it in {len(silent)}: {_names(silent, rows)}"
    if len(silent) > MANY * len(quiet):
        text += "; silence fits every frame, there is nothing to learn from it"
    return Finding("silence", len(silent) <= MANY * len(quiet), text)


def duplicates(looks: Sequence[ClipStats], rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Clips that are the same recording."""
    loudness = np.stack([look.loudness for look in looks])
    pairs = twins(loudness, np.array([row["frames"] for row in rows]))
    if not pairs:
        return Finding("duplicates", True, "no two clips have the same audio")
    named = ", ".join(f"{rows[a]['id']} = {rows[b]['id']}" for a, b in pairs[:NAMED])
    more = "" if len(pairs) <= NAMED else ", ..."
    text = f"pairs of clips with the same audio: {len(pairs)}: {named}{more}"
    if any(rows[a]["source"] == rows[b]["source"] for a, b in pairs):
        text += "; of two faces in one file only one can be speaking"
    return Finding("duplicates", False, text)


def speakers(
    rows: Sequence[Mapping[str, Any]], store: Store, splits: str | Path | None, split: str
) -> Finding:
    """Whose clips they are, told by their folder, and whether other splits have others."""
    found = Counter(row["speaker"] for row in rows)
    name, most = found.most_common(1)[0]
    text = f"{len(found)} by folder; most clips are of {name}: {100 * most / len(rows):.0f} %"
    if len(found) == 1:
        text = f"all clips are in one folder, {name}: if that is one speaker, so is what is learnt"
    others = [] if splits is None else [each for each in splits_of(splits) if each != split]
    shared = []
    for other in others:
        there = {store.rows[place]["speaker"] for place in clips_of_split(store, splits, other)}
        if there <= set(found):
            shared.append(other)
    if shared:
        text += f"; no new one in {', '.join(shared)}: figures there tell nothing of new faces"
    return Finding("speakers", len(found) > 1 and not shared, text)


def offsets(measured: Sequence[ClipOffset], expected_ms: float) -> Finding:
    """Return where the voices of the clips lie."""
    known = np.array([each.offset_ms for each in measured if each.offset_ms is not None])
    text = f"{len(known)} of {len(measured)} clips can be told"
    if len(known) < len(measured) / 2:
        text += ": the model that measures may not suit them, or the voices are others'"
        return Finding("offsets", False, text)
    middle_ms = float(np.median(known))
    astray = int((np.abs(known - middle_ms) > ASTRAY_MS).sum())
    text += f"; their middle: {describe_offset(middle_ms)}"
    moved = abs(middle_ms - expected_ms) > MOVED_MS
    if moved:
        text += (
            f", which is not {expected_ms:g}: take it off with --corpus-offset-ms {middle_ms:.0f} "
            "(train dense-sync: --answer-offset-ms)"
        )
    if astray:
        text += f"; {astray} lie over {ASTRAY_MS:.0f} ms from it"
    if astray > MANY * len(known):
        text += ": clean the list with avsync audit --clean"
    return Finding("offsets", not moved and astray <= MANY * len(known), text)


def _names(places: np.ndarray, rows: Sequence[Mapping[str, Any]]) -> str:
    names = [rows[place]["id"] for place in places[:NAMED]]
    return ", ".join(names) + (", ..." if len(places) > NAMED else "")


def _rejected(folder: Path) -> list[dict[str, str]]:
    table = folder / REJECTED_TABLE
    if not table.is_file():
        return []
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
