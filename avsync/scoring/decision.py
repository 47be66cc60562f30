"""From the scores of a face to its result: an offset with its timeline, or the reason there is
none.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avsync.scoring.peak import confidence, find_peak, interval, lies_beyond
from avsync.scoring.result import Interval, Reason, Status, TimelinePoint, TrackResult
from avsync.scoring.score_map import ScoreMap
from avsync.scoring.score_sums import BIN_WINDOWS, Curve, TrackScores
from avsync.tasks.calibration import Calibration
from avsync.timing import FPS

# Offsets are scored this much further than the search goes: to say "out of range" instead of a
# bounded wrong answer, and to see what the noise of the curve is.
BEYOND_S = 1.0
# An answer is given from here on; `HOLDS` is as sure as it gets. Confidence takes most files to
# hold the voice of the face; from here on a file of which that is not known may be answered too.
MIN_CONFIDENCE = 0.8
# A peak outside the search range must be this sure before it is called one.
MIN_FAR_CONFIDENCE = 0.88
MIN_FACE_PX = 32
MIN_TRACK_S = 1.0
# The loudest moments of a spoken recording lie above this, in dB of full scale.
SILENCE_DB = -60.0
# The liveliest moments of a speaking mouth change by more than this of their contrast per tick.
STILL_MOTION = 0.015
# Each point of the timeline looks at this many bins to either side: 4.4 s in all.
TIMELINE_REACH = 5
TIMELINE_POINTS = 2000


@dataclass(frozen=True)
class FaceTrack:
    """What was seen of one face: `box` is the median x0, y0, x1, y1, in pixels of the frame."""

    track: int
    start_s: float
    end_s: float
    box: tuple[float, float, float, float]

    @property
    def width_px(self) -> float:
        return self.box[2] - self.box[0]


class Answer(NamedTuple):
    """Status, and either the reason there is no answer or the offset with its interval."""

    status: Status
    reason: Reason | None
    offset_ms: float | None
    interval_ms: Interval | None
    confidence: float


def judge_track(
    face: FaceTrack,
    scores: TrackScores,
    level_db: np.ndarray,
    search_s: float,
    calibration: Calibration,
) -> TrackResult:
    """Return the result of one face; `level_db` is the audio's level at every tick of the file."""
    answer = _unfit(face, scores, level_db)
    timeline: tuple[TimelinePoint, ...] = ()
    if answer is None:
        answer = judge_curves(scores.near, scores.far, search_s, calibration)
        timeline = _timeline(scores, search_s, calibration)
    return TrackResult(
        track=face.track,
        start_s=face.start_s,
        end_s=face.end_s,
        box=face.box,
        status=answer.status,
        reason=answer.reason,
        offset_ms=answer.offset_ms,
        interval_ms=answer.interval_ms,
        confidence=answer.confidence,
        timeline=timeline,
        score_map=_score_map(scores, search_s),
    )


def judge_curves(
    near: Curve, far: Curve | None, search_s: float, calibration: Calibration
) -> Answer:
    """Return the answer of evidence in and just beyond the search, and further off where that is known."""
    answer = judge_evidence(near.evidence, near.offsets_ms, search_s, calibration)
    if far is not None and lies_beyond(far, 1000 * search_s):
        return cannot_tell("out_of_range")
    return answer


def judge_evidence(
    evidence: np.ndarray, offsets_ms: np.ndarray, search_s: float, calibration: Calibration
) -> Answer:
    """Return the answer that a curve of evidence `(K,)` over offsets `(K,)` gives."""
    peak = find_peak(evidence, offsets_ms, 1000 * search_s)
    sure = 0.0 if peak is None else confidence(peak, calibration)
    if peak is not None and sure >= MIN_CONFIDENCE:
        return Answer("ok", None, peak.offset_ms, interval(peak, calibration), sure)
    anywhere = find_peak(evidence, offsets_ms, np.inf)
    if anywhere is not None and confidence(anywhere, calibration) >= MIN_FAR_CONFIDENCE:
        return cannot_tell("out_of_range", sure)
    return cannot_tell("no_match", sure)


def cannot_tell(reason: Reason, sure: float = 0.0) -> Answer:
    """No offset, for that reason; `sure` is the confidence that the best candidate reached."""
    return Answer("cannot_tell", reason, None, None, sure)


def _unfit(face: FaceTrack, scores: TrackScores, level_db: np.ndarray) -> Answer | None:
    if face.width_px < MIN_FACE_PX:
        return cannot_tell("face_too_small")
    if face.end_s - face.start_s < MIN_TRACK_S or len(scores.bins) == 0:
        return cannot_tell("too_short")
    heard = level_db[scores.first_tick : scores.last_tick + 1]
    heard = heard[np.isfinite(heard)]
    if len(heard) == 0 or np.percentile(heard, 95) < SILENCE_DB:
        return cannot_tell("silence")
    if np.percentile(scores.motion, 90) < STILL_MOTION:
        return cannot_tell("still_lips")
    return None


def _timeline(
    scores: TrackScores, search_s: float, calibration: Calibration
) -> tuple[TimelinePoint, ...]:
    """Return the offset around every bin, or every few bins of a long track."""
    rows = np.concatenate([np.zeros((1, scores.evidence.shape[1])), scores.evidence]).cumsum(0)
    points = []
    for i in range(0, len(scores.bins), 1 + len(scores.bins) // TIMELINE_POINTS):
        low, high = max(0, i - TIMELINE_REACH), min(len(scores.bins), i + TIMELINE_REACH + 1)
        peak = find_peak(rows[high] - rows[low], scores.offsets_ms, 1000 * search_s)
        sure = 0.0 if peak is None else confidence(peak, calibration)
        known = peak is not None and sure >= MIN_CONFIDENCE
        t_s = (scores.bins[i] + 0.5) * BIN_WINDOWS / FPS
        points.append(TimelinePoint(float(t_s), peak.offset_ms if known and peak else None, sure))
    return tuple(points)


def _score_map(scores: TrackScores, search_s: float) -> ScoreMap:
    inside = np.abs(scores.offsets_ms) <= 1000 * search_s + 1e-6
    means = scores.evidence[:, inside] / np.maximum(scores.windows, 1)[:, None]
    times_s = (scores.bins + 0.5) * BIN_WINDOWS / FPS
    return ScoreMap(times_s, scores.offsets_ms[inside], means.astype(np.float32))
