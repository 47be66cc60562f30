"""Who speaks when: of the faces in the frame, the one whose lips the voice fits just then."""

from collections.abc import Mapping

import numpy as np

from avsync.scoring.result import Interval
from avsync.scoring.score_sums import BIN_WINDOWS, TrackScores
from avsync.timing import FPS

# Each moment looks at this many bins to either side: 2 s in all.
REACH = 2
# A voice that fits stands so many standard deviations above what other offsets give. The offset is
# known here, so that no chance peak is looked for.
LEAST_FIT = 2.0
# How far from the offset, in ms, evidence is still its own, and where what others give begins.
NEAR_MS, FAR_MS = 40.0, 160.0


def speaking_segments(
    tracks: Mapping[int, TrackScores], offset_ms: float
) -> dict[int, tuple[Interval, ...]]:
    """When each face speaks, in seconds of the file, to 0.4 s: where the voice fits its lips at the
    file's offset, and better than any other face's.

    Args:
        tracks: scores by track, all over the same offsets.
        offset_ms: of the file; positive = the audio leads.
    """
    fits = {track: _fit(scores, offset_ms) for track, scores in tracks.items()}
    best: dict[int, tuple[float, int]] = {}
    for track, fit in fits.items():
        for number, value in fit.items():
            if value >= LEAST_FIT and value > best.get(number, (0.0, 0))[0]:
                best[number] = value, track
    own = {track: [number for number in sorted(best) if best[number][1] == track] for track in fits}
    return {track: _spans(own[track], (tracks[track].last_tick + 1) / FPS) for track in tracks}


def _fit(scores: TrackScores, offset_ms: float) -> dict[int, float]:
    """By bin: the evidence for the offset around it, in standard deviations of that elsewhere."""
    distance = np.abs(scores.offsets_ms - offset_ms)
    near, far = distance <= NEAR_MS, distance > FAR_MS
    fit = {}
    for number in scores.bins.tolist():
        rows = np.abs(scores.bins - number) <= REACH
        curve = scores.evidence[rows].sum(0)
        elsewhere = curve[far & (curve != 0)]
        if len(elsewhere) > 1 and near.any():
            fit[number] = float((curve[near].max() - elsewhere.mean()) / (elsewhere.std() + 1e-9))
    return fit


def _spans(bins: list[int], end_s: float) -> tuple[Interval, ...]:
    """Run of bins as spans of time, none beyond `end_s`."""
    spans: list[tuple[int, int]] = []
    for number in bins:
        if spans and spans[-1][1] == number:
            spans[-1] = spans[-1][0], number + 1
        else:
            spans.append((number, number + 1))
    bin_s = BIN_WINDOWS / FPS
    return tuple((low * bin_s, min(high * bin_s, end_s)) for low, high in spans)
