"""Decide from the scores of a face: an offset with its timeline, or the reason there is none."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avsync.scoring.offset_error import interval, standard_error
from avsync.scoring.peak import confidence, find_peak, is_out_of_range
from avsync.scoring.result import Interval, Reason, Status, TimelinePoint, TrackResult
from avsync.scoring.score_map import ScoreMap
from avsync.scoring.score_sums import BIN_WINDOWS, EvidenceCurve, TrackScores
from avsync.tasks.calibration import Calibration
from avsync.timing import FPS

# Offsets are scored this much further than the search range: to report `out_of_range` instead of
# the best wrong offset within it, and to estimate the noise of the curve.
SEARCH_MARGIN_S = 1.0
# Minimum confidence of an offset (`INTERVAL_COVERAGE`, 0.9, is the highest there is). The
# calibration assumes that in most files the speech is the face's; with this threshold a file of
# which that is not known may be decided too.
MIN_CONFIDENCE = 0.8
# Minimum confidence of a peak outside the search range for `out_of_range`.
MIN_OUT_OF_RANGE_CONFIDENCE = 0.88
MIN_FACE_PX = 32
MIN_TRACK_S = 1.0
# The loudest moments of recorded speech lie above `LOW_LEVEL_DB`, in dB of full scale; below
# `SILENCE_DB` there is only noise.
LOW_LEVEL_DB, SILENCE_DB = -60.0, -70.0
# In its liveliest moments a speaking mouth changes by more than this part of its contrast per tick.
STILL_MOTION = 0.015
# Each point of the timeline sums this many bins to either side: 4.4 s in all.
TIMELINE_REACH = 5
TIMELINE_POINTS = 2000


@dataclass(frozen=True)
class TrackExtent:
    """Time and position of a face track; `box` is the median x0, y0, x1, y1 in pixels."""

    track: int
    start_s: float
    end_s: float
    box: tuple[float, float, float, float]

    @property
    def width_px(self) -> float:
        return self.box[2] - self.box[0]


class Decision(NamedTuple):
    """Offset with interval and confidence, or the reason why there is none.

    Without an offset, `confidence` is that of the best candidate.
    """

    status: Status
    reason: Reason | None
    offset_ms: float | None
    interval_ms: Interval | None
    confidence: float


def decide_track(
    face: TrackExtent,
    scores: TrackScores,
    level_db: np.ndarray,
    search_s: float,
    calibration: Calibration,
) -> TrackResult:
    """Decide the offset of one face track.

    Args:
        face: time and position of the track.
        scores: its scores, up to `SEARCH_MARGIN_S` beyond the search range.
        level_db: level of the audio at every tick of the file, NaN where unknown.
        search_s: seconds searched to either side.
        calibration: calibration of the model.
    """
    decision = _check_usable(face, scores, level_db)
    timeline: tuple[TimelinePoint, ...] = ()
    if decision is None:
        decision = decide_offset(scores.curve, scores.wide_curve, search_s, calibration)
        timeline = _timeline(scores, search_s, calibration)
    return TrackResult(
        track=face.track,
        start_s=face.start_s,
        end_s=face.end_s,
        box=face.box,
        **decision._asdict(),
        timeline=timeline,
        score_map=_score_map(scores, search_s),
    )


def decide_offset(
    curve: EvidenceCurve,
    wide_curve: EvidenceCurve | None,
    search_s: float,
    calibration: Calibration,
) -> Decision:
    """Decide the offset from evidence up to `SEARCH_MARGIN_S` beyond the search range.

    Args:
        curve: that evidence.
        wide_curve: evidence over still further offsets, for the out-of-range test; may be None.
        search_s: seconds searched to either side.
        calibration: calibration of the model.
    """
    decision = decide_from_evidence(curve, search_s, calibration)
    if wide_curve is not None and is_out_of_range(wide_curve, 1000 * search_s):
        return cannot_tell("out_of_range")
    return decision


def decide_from_evidence(
    curve: EvidenceCurve, search_s: float, calibration: Calibration
) -> Decision:
    """Decide the offset from evidence by the confidence of its peak.

    Args:
        curve: the evidence. Without its blocks, the interval follows from the height of the peak
            alone.
        search_s: seconds searched to either side.
        calibration: calibration of the model.
    """
    peak = find_peak(curve, 1000 * search_s)
    best = 0.0 if peak is None else confidence(peak, calibration)
    if peak is not None and best >= MIN_CONFIDENCE:
        blocks = curve.blocks
        error = None if blocks is None else standard_error(blocks, curve.offsets_ms, peak)
        return Decision("ok", None, peak.offset_ms, interval(peak, calibration, error), best)
    outside = find_peak(curve, np.inf)
    if outside is not None and confidence(outside, calibration) >= MIN_OUT_OF_RANGE_CONFIDENCE:
        return cannot_tell("out_of_range", best)
    return cannot_tell("no_match", best)


def cannot_tell(reason: Reason, confidence: float = 0.0) -> Decision:
    """Return a decision without an offset."""
    return Decision("cannot_tell", reason, None, None, confidence)


def _check_usable(face: TrackExtent, scores: TrackScores, level_db: np.ndarray) -> Decision | None:
    """Return why a track cannot be decided whatever its scores; None if it can."""
    if face.width_px < MIN_FACE_PX:
        return cannot_tell("face_too_small")
    if face.end_s - face.start_s < MIN_TRACK_S or len(scores.bins) == 0:
        return cannot_tell("too_short")
    levels = level_db[scores.first_tick : scores.last_tick + 1]
    levels = levels[np.isfinite(levels)]
    loudest_db = np.percentile(levels, 95) if len(levels) else -np.inf
    if loudest_db < LOW_LEVEL_DB:
        return cannot_tell("silence" if loudest_db < SILENCE_DB else "too_quiet")
    if np.percentile(scores.motion, 90) < STILL_MOTION:
        return cannot_tell("still_lips")
    return None


def _timeline(
    scores: TrackScores, search_s: float, calibration: Calibration
) -> tuple[TimelinePoint, ...]:
    """Return the offset around every bin, or every few bins of a long track."""
    points = []
    for i in range(0, len(scores.bins), 1 + len(scores.bins) // TIMELINE_POINTS):
        low, high = max(0, i - TIMELINE_REACH), min(len(scores.bins), i + TIMELINE_REACH + 1)
        peak = find_peak(scores.part(slice(low, high)), 1000 * search_s)
        sure = 0.0 if peak is None else confidence(peak, calibration)
        offset_ms = peak.offset_ms if peak is not None and sure >= MIN_CONFIDENCE else None
        t_s = (scores.bins[i] + 0.5) * BIN_WINDOWS / FPS
        points.append(TimelinePoint(float(t_s), offset_ms, sure))
    return tuple(points)


def _score_map(scores: TrackScores, search_s: float) -> ScoreMap:
    inside = np.abs(scores.offsets_ms) <= 1000 * search_s + 1e-6
    means = scores.evidence[:, inside] / np.maximum(scores.windows, 1)[:, None]
    times_s = (scores.bins + 0.5) * BIN_WINDOWS / FPS
    return ScoreMap(times_s, scores.offsets_ms[inside], means.astype(np.float32))
