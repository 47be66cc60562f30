"""Findings of an audit: what in a set of clips will affect training, one line each."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.store.clip_stats import ClipStats, find_duplicates
from avsync.data.store.reader import REJECTED_TABLE, Store
from avsync.data.store.records import ClipInfo
from avsync.data.store.splits import clips_of_split, splits_of
from avsync.pipelines.audit.clip_offsets import ClipOffset
from avsync.timing import FPS, describe_offset

# Share of the clips above which a flaw is worth a warning.
WARNING_SHARE = 0.1
# Shorter clips are left out by the recipes.
SHORT_FRAMES = 26
SMALL_PX, UNSURE_SCORE = 48.0, 0.6
SLOW_FPS = 20.0
SILENT_SHARE = 0.8
# A median offset this far from the expected one concerns the whole store; a clip this far from the
# median is an outlier.
SHIFTED_MS, OUTLIER_MS = 45.0, 80.0
# Clips that a finding lists by name.
LISTED = 3


class AuditFinding(NamedTuple):
    """One aspect of the clips; `ok` is False if training will suffer from it."""

    topic: str
    ok: bool
    text: str


def audit_lengths(rows: Sequence[ClipInfo]) -> AuditFinding:
    """Report the total duration and the lengths of clips."""
    frames = np.array([row.frames for row in rows])
    files = len({row.source for row in rows})
    shortest, median, longest = np.percentile(frames, [0, 50, 100]) / FPS
    text = (
        f"{frames.sum() / FPS / 60:.1f} minutes from {files} files; a clip is {median:.1f} s long "
        f"({shortest:.1f} to {longest:.1f})"
    )
    short = int((frames < SHORT_FRAMES).sum())
    if short > WARNING_SHARE * len(rows):
        text += f"; {short} have under {SHORT_FRAMES} frames: training leaves them out"
    return AuditFinding("lengths", short <= WARNING_SHARE * len(rows), text)


def audit_faces(rows: Sequence[ClipInfo], folder: Path) -> AuditFinding:
    """Report sizes and detection scores of the faces, and what was rejected during preparation."""
    px = np.array([row.face_px for row in rows])
    score = np.array([row.score for row in rows])
    text = f"{np.median(px):.0f} pixels wide, found with a score of {score.mean():.2f}"
    poor = int(((px < SMALL_PX) | (score < UNSURE_SCORE)).sum())
    if poor:
        text += f"; {poor} small or unsure"
    rejected = _read_rejected(folder)
    lost_s = sum(float(row["duration_s"] or 0) for row in rejected)
    kept_s = sum(row.frames for row in rows) / FPS
    if rejected:
        reasons = Counter(row["reason"] for row in rejected).most_common()
        listed = ", ".join(f"{reason} {number}" for reason, number in reasons)
        text += f"; rejected {len(rejected)}: {listed} (see {REJECTED_TABLE})"
    lost = lost_s > kept_s or len(rejected) > len(rows)
    if lost:
        text += "; more was rejected than kept"
    return AuditFinding("faces", poor <= WARNING_SHARE * len(rows) and not lost, text)


def audit_frames(stats: Sequence[ClipStats], rows: Sequence[ClipInfo]) -> AuditFinding:
    """Report how many frames a second are distinct."""
    fps = np.array([clip.distinct_fps for clip in stats])
    slow = np.flatnonzero(fps < SLOW_FPS)
    text = f"{np.median(fps):.0f} of {FPS} frames a second are distinct"
    if len(slow):
        text += f"; under {SLOW_FPS:.0f} in {len(slow)}: {_names(slow, rows)}"
    if len(slow) > WARNING_SHARE * len(fps):
        text += "; in repeated frames the lips are late"
    return AuditFinding("pictures", len(slow) <= WARNING_SHARE * len(fps), text)


def audit_silence(stats: Sequence[ClipStats], rows: Sequence[ClipInfo]) -> AuditFinding:
    """Report how much of the audio is silent."""
    shares = np.array([clip.silent_share for clip in stats])
    silent = np.flatnonzero(shares > SILENT_SHARE)
    text = f"{100 * shares.mean():.0f} % of the audio is silent"
    if len(silent):
        text += f"; nearly all of it in {len(silent)}: {_names(silent, rows)}"
    if len(silent) > WARNING_SHARE * len(shares):
        text += "; silence fits every frame, there is nothing to learn from it"
    return AuditFinding("silence", len(silent) <= WARNING_SHARE * len(shares), text)


def audit_duplicates(stats: Sequence[ClipStats], rows: Sequence[ClipInfo]) -> AuditFinding:
    """Report clips that are the same recording."""
    loudness = np.stack([clip.loudness for clip in stats])
    pairs = find_duplicates(loudness, np.array([row.frames for row in rows]))
    if not pairs:
        return AuditFinding("duplicates", True, "no two clips have the same audio")
    named = ", ".join(f"{rows[a].id} = {rows[b].id}" for a, b in pairs[:LISTED])
    more = "" if len(pairs) <= LISTED else ", ..."
    text = f"pairs of clips with the same audio: {len(pairs)}: {named}{more}"
    if any(rows[a].source == rows[b].source for a, b in pairs):
        text += "; of two faces in one file only one can be speaking"
    return AuditFinding("duplicates", False, text)


def audit_speakers(
    rows: Sequence[ClipInfo], store: Store, splits: str | Path | None, split: str
) -> AuditFinding:
    """Report the number of speakers, by folder, and splits without a speaker of their own."""
    found = Counter(row.speaker for row in rows)
    name, most = found.most_common(1)[0]
    text = f"{len(found)} by folder; most clips are of {name}: {100 * most / len(rows):.0f} %"
    if len(found) == 1:
        text = f"all clips are in one folder, {name}: if that is one speaker, so is what is learnt"
    others = [] if splits is None else [other for other in splits_of(splits) if other != split]
    shared = []
    for other in others:
        there = {store.rows[index].speaker for index in clips_of_split(store, splits, other)}
        if there <= set(found):
            shared.append(other)
    if shared:
        text += f"; no new one in {', '.join(shared)}: figures there do not hold for new faces"
    return AuditFinding("speakers", len(found) > 1 and not shared, text)


def audit_offsets(measured: Sequence[ClipOffset], expected_ms: float) -> AuditFinding:
    """Report the median offset of the clips, and how many clips have another one."""
    offsets_ms = np.array([clip.offset_ms for clip in measured if clip.offset_ms is not None])
    text = f"{len(offsets_ms)} of {len(measured)} clips have an offset that can be measured"
    if len(offsets_ms) < len(measured) / 2:
        text += ": the model that measures may not suit them, or the voices are others'"
        return AuditFinding("offsets", False, text)
    median_ms = float(np.median(offsets_ms))
    outliers = int((np.abs(offsets_ms - median_ms) > OUTLIER_MS).sum())
    text += f"; their median: {describe_offset(median_ms)}"
    shifted = abs(median_ms - expected_ms) > SHIFTED_MS
    if shifted:
        text += (
            f", which is not {expected_ms:g}: take it off with --corpus-offset-ms {median_ms:.0f} "
            "(train dense-sync: --answer-offset-ms)"
        )
    if outliers:
        text += f"; {outliers} lie over {OUTLIER_MS:.0f} ms from it"
    if outliers > WARNING_SHARE * len(offsets_ms):
        text += ": clean the list with avsync audit --clean"
    ok = not shifted and outliers <= WARNING_SHARE * len(offsets_ms)
    return AuditFinding("offsets", ok, text)


def _names(indices: np.ndarray, rows: Sequence[ClipInfo]) -> str:
    names = [rows[index].id for index in indices[:LISTED]]
    return ", ".join(names) + (", ..." if len(indices) > LISTED else "")


def _read_rejected(folder: Path) -> list[dict[str, str]]:
    table = folder / REJECTED_TABLE
    if not table.is_file():
        return []
    try:
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        lengths_s = [float(row["duration_s"] or 0) for row in rows]
        if not all(row["reason"] for row in rows) or not all(map(math.isfinite, lengths_s)):
            raise ValueError("a row has no reason or no duration")
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise RuntimeError(f"{table} must be the table of a store: {error!r}") from error
    return rows
