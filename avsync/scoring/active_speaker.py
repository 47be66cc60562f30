"""Detect who speaks when: the face whose lips match the audio at the file's offset."""

from collections.abc import Mapping

import numpy as np

from avsync.scoring.result import Interval
from avsync.scoring.score_sums import BIN_WINDOWS, TrackScores
from avsync.timing import FPS

# Evidence around each bin is summed over this many bins to either side: 2 s in all.
REACH = 2
# Minimum z-score of the evidence at the file's offset against that at other offsets. The offset is
# known here, so no allowance is needed for a chance peak among many offsets.
MIN_Z_SCORE = 2.0
# Offsets up to `AT_OFFSET_MS` from the file's count as the offset itself; those beyond
# `ELSEWHERE_MS` are the noise that it is compared with.
AT_OFFSET_MS, ELSEWHERE_MS = 40.0, 160.0


def speaking_segments(
    tracks: Mapping[int, TrackScores], offset_ms: float
) -> dict[int, tuple[Interval, ...]]:
    """Return when each face speaks, in seconds of the file, with a resolution of 0.4 s.

    A face speaks where the audio matches its lips at the file's offset, and matches no other
    face's lips better. No two faces speak at once.

    Args:
        tracks: scores by track, all over the same offsets.
        offset_ms: offset of the file; positive = the audio leads.
    """
    z_scores = {track: _z_scores(scores, offset_ms) for track, scores in tracks.items()}
    best: dict[int, tuple[float, int]] = {}
    for track, by_bin in z_scores.items():
        for number, z_score in by_bin.items():
            if z_score >= MIN_Z_SCORE and z_score > best.get(number, (0.0, 0))[0]:
                best[number] = z_score, track
    own = {
        track: [number for number in sorted(best) if best[number][1] == track] for track in tracks
    }
    return {
        track: _to_segments(own[track], (tracks[track].last_tick + 1) / FPS) for track in tracks
    }


def _z_scores(scores: TrackScores, offset_ms: float) -> dict[int, float]:
    """Return by bin the z-score of the evidence around it at the offset."""
    distance = np.abs(scores.offsets_ms - offset_ms)
    at_offset, elsewhere = distance <= AT_OFFSET_MS, distance > ELSEWHERE_MS
    z_scores = {}
    for number in scores.bins.tolist():
        around = np.abs(scores.bins - number) <= REACH
        curve = scores.evidence[around].sum(0)
        noise = curve[elsewhere & (curve != 0)]
        if len(noise) > 1 and at_offset.any():
            z_scores[number] = float((curve[at_offset].max() - noise.mean()) / (noise.std() + 1e-9))
    return z_scores


def _to_segments(bins: list[int], end_s: float) -> tuple[Interval, ...]:
    """Merge runs of consecutive bins to segments in seconds that end at `end_s` at the latest."""
    runs: list[tuple[int, int]] = []
    for number in bins:
        if runs and runs[-1][1] == number:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    bin_s = BIN_WINDOWS / FPS
    return tuple((low * bin_s, min(high * bin_s, end_s)) for low, high in runs)
