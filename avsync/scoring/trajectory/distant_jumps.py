"""Find the parts of a file whose audio fits beyond the search range, and what supports an answer.

Where video was lost and the rest moved up, the audio is seconds late from there on: beyond the
search range, within which such a part fits nowhere and says nothing. Here every part is compared
at all offsets that were scored.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from avsync.scoring.decision import MIN_CONFIDENCE, TIMELINE_REACH
from avsync.scoring.peak import confidence, find_peak
from avsync.scoring.result import Coverage, Fault, OffsetSegment
from avsync.scoring.score_sums import (
    BIN_WINDOWS,
    EvidenceCurve,
    TrackScores,
    sum_normalisers,
)
from avsync.scoring.trajectory.evidence_map import HALF_WINDOW_S
from avsync.scoring.trajectory.fault import classify_jumps, with_worst
from avsync.tasks.calibration import Calibration
from avsync.timing import FPS, Tolerance

BIN_S = BIN_WINDOWS / FPS
# Local offsets this close to the trajectory, or to each other, agree.
SAME_MS = 80.0
# A shorter part beyond the search range may fit there by chance.
MIN_DISTANT_S = 5.0


class LocalOffsets(NamedTuple):
    """Best offset around each bin of a file, over all offsets that were scored.

    Args:
        bins: numbers `(R,)` of the bins with evidence, rising.
        offsets_ms: `(R,)`, NaN where the evidence is not enough.
        wide: evidence `(R, F)` of each bin, summed over the tracks.
        steps_ms: offsets `(F,)` of the evidence.
    """

    bins: np.ndarray
    offsets_ms: np.ndarray
    wide: np.ndarray
    steps_ms: np.ndarray

    @property
    def t_s(self) -> np.ndarray:
        """Centres of the bins, in seconds of the file."""
        return (self.bins + 0.5) * BIN_S + HALF_WINDOW_S


def find_local_offsets(
    tracks: Sequence[TrackScores], calibration: Calibration
) -> LocalOffsets | None:
    """Return the best offset around each bin; None without evidence beyond the search range."""
    if not tracks or tracks[0].wide_curve is None:
        return None
    steps_ms = tracks[0].wide_curve.offsets_ms
    bins = np.unique(np.concatenate([track.bins for track in tracks]))
    wide = np.zeros((len(bins), len(steps_ms)), np.float32)
    for track in tracks:
        if track.wide is not None:
            wide[np.searchsorted(bins, track.bins)] += track.wide
    normalisers, windows = sum_normalisers(tracks, bins)
    lows, highs = (
        bins.searchsorted(bins - TIMELINE_REACH),
        bins.searchsorted(bins + TIMELINE_REACH + 1),
    )
    offsets_ms = np.full(len(bins), np.nan)
    for i, (low, high) in enumerate(zip(lows, highs, strict=True)):
        around = EvidenceCurve(
            wide[low:high].sum(0, dtype=np.float64),
            steps_ms,
            normaliser=None if normalisers is None else float(normalisers[low:high].sum()),
            windows=int(windows[low:high].sum()),
        )
        peak = find_peak(around, np.inf)
        if peak is not None and confidence(peak, calibration) >= MIN_CONFIDENCE:
            offsets_ms[i] = peak.offset_ms
    return LocalOffsets(bins, offsets_ms, wide, steps_ms)


class DistantRun(NamedTuple):
    """Consecutive bins low to high (indices of `LocalOffsets`) that fit beyond the search range."""

    low: int
    high: int
    offset_ms: float


def find_distant_runs(fault: Fault, local: LocalOffsets, search_s: float) -> list[DistantRun]:
    """Return the parts of a file that fit beyond the search range and off its trajectory."""
    away = np.abs(local.offsets_ms - offsets_along(fault.pieces, local.t_s)) > SAME_MS
    distant = np.flatnonzero(away & (np.abs(local.offsets_ms) > 1000 * search_s))
    runs: list[list[int]] = []
    for index in distant.tolist():
        if runs and _continues(runs[-1], index, local.offsets_ms):
            runs[-1].append(index)
        else:
            runs.append([index])
    found = [DistantRun(r[0], r[-1] + 1, float(np.median(local.offsets_ms[r]))) for r in runs]
    return [run for run in found if _fits_throughout(run, local)]


def leave_out(
    tracks: Sequence[TrackScores], runs: Sequence[DistantRun], local: LocalOffsets
) -> list[TrackScores]:
    """Return the tracks without the bins of runs, which would blur a trajectory of the rest."""
    gone = np.concatenate([local.bins[run.low : run.high] for run in runs])
    kept = []
    for track in tracks:
        rest = ~np.isin(track.bins, gone)
        kept.append(
            replace(
                track,
                bins=track.bins[rest],
                evidence=track.evidence[rest],
                windows=track.windows[rest],
                motion=track.motion[rest] if len(track.motion) == len(rest) else track.motion,
                wide=None if track.wide is None else track.wide[rest],
            )
        )
    return kept


def add_distant_segments(
    fault: Fault, runs: Sequence[DistantRun], local: LocalOffsets, limits: Tolerance
) -> Fault:
    """Return the fault with a segment added for each run beyond the search range.

    Args:
        fault: the trajectory of the rest of the file.
        runs: the parts beyond the search range.
        local: offsets around each bin.
        limits: tolerance of the profile.
    """
    pieces = list(fault.pieces)
    for run in runs:
        pieces = _insert(pieces, run, local)
    return with_worst(Fault(classify_jumps(tuple(pieces), limits), tuple(pieces)), limits)


def measure_coverage(fault: Fault, local: LocalOffsets, duration_s: float) -> Coverage:
    """Return for how many seconds the local offsets support a trajectory, or speak against it."""
    path_ms = offsets_along(fault.pieces, local.t_s)
    known = np.isfinite(local.offsets_ms)
    near = known & (np.abs(local.offsets_ms - path_ms) <= SAME_MS)
    supports_s = min(BIN_S * int(near.sum()), duration_s)
    against_s = min(BIN_S * int((known & ~near).sum()), duration_s - supports_s)
    return Coverage(supports_s, against_s, duration_s - supports_s - against_s)


def offsets_along(pieces: Sequence[OffsetSegment], t_s: np.ndarray) -> np.ndarray:
    """Return the offsets of a trajectory at times in seconds."""
    starts_s = [segment.start_s for segment in pieces[1:]]
    which = np.searchsorted(starts_s, t_s, side="right")
    return np.array([pieces[k].at(t) for k, t in zip(which, t_s, strict=True)])


def _continues(run: list[int], index: int, offsets_ms: np.ndarray) -> bool:
    """Return whether a bin fits where a run does, and none in between fits elsewhere."""
    elsewhere = bool(np.isfinite(offsets_ms[run[-1] + 1 : index]).any())
    away_ms = abs(float(offsets_ms[index]) - float(np.median(offsets_ms[run])))
    return not elsewhere and away_ms <= SAME_MS


def _fits_throughout(run: DistantRun, local: LocalOffsets) -> bool:
    """Return whether a run is long enough, and either half of it fits best at its offset."""
    low = max(run.low - TIMELINE_REACH, 0)
    high = min(run.high + TIMELINE_REACH, len(local.bins))
    inside = slice(low, high)
    if BIN_S * (high - low) < MIN_DISTANT_S:
        return False
    halves = np.array_split(local.wide[inside], 2)
    best_ms = [local.steps_ms[int(half.sum(0, dtype=np.float64).argmax())] for half in halves]
    return all(abs(best - run.offset_ms) <= SAME_MS for best in best_ms)


def _insert(
    pieces: Sequence[OffsetSegment], run: DistantRun, local: LocalOffsets
) -> list[OffsetSegment]:
    """Replace the time of a run in a trajectory by a segment of its own."""
    start_s = _change_s(pieces, run, local, after=False)
    end_s = _change_s(pieces, run, local, after=True)
    kept = [
        segment._replace(end_s=min(segment.end_s, start_s))
        for segment in pieces
        if segment.start_s < start_s
    ]
    later = [
        segment._replace(
            start_s=max(segment.start_s, end_s),
            offset_ms=segment.at(max(segment.start_s, end_s)),
        )
        for segment in pieces
        if segment.end_s > end_s
    ]
    return [*kept, OffsetSegment(start_s, end_s, run.offset_ms, 0.0), *later]


def _change_s(
    pieces: Sequence[OffsetSegment], run: DistantRun, local: LocalOffsets, *, after: bool
) -> float:
    """Return when the audio begins, or ends, to fit at the offset of a run.

    That is where the evidence gained by the change is largest, up to the nearest bin that fits the
    trajectory; without one, the start or the end of the trajectory.
    """
    path_ms = offsets_along(pieces, local.t_s)
    fits = np.flatnonzero(np.abs(local.offsets_ms - path_ms) <= SAME_MS)
    outside = fits[fits >= run.high] if after else fits[fits < run.low]
    if len(outside) == 0:
        return pieces[-1].end_s if after else pieces[0].start_s
    # Around a change, local offsets are those of the longer side: look beyond the nearest bin.
    if after:
        low, high = run.high - 1, outside[0] + TIMELINE_REACH
    else:
        low, high = outside[-1] - TIMELINE_REACH, run.low + 1
    index = np.arange(max(low, 0), min(high, len(local.bins)))
    columns = np.abs(local.steps_ms[None] - path_ms[index, None]).argmin(1)
    here = local.wide[index, int(np.abs(local.steps_ms - run.offset_ms).argmin())]
    gain = np.cumsum(here - local.wide[index, columns])
    edges_s = [*(local.t_s[index] - BIN_S / 2), local.t_s[index[-1]] + BIN_S / 2]
    total = np.concatenate([[0.0], gain])
    # Before a run the path fits and its offset does not; after it, the other way round.
    return float(edges_s[int(np.argmax(total) if after else np.argmin(total))])
