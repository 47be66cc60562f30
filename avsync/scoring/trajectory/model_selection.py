"""Select the offset trajectory of a file: constant, linear (drift) or piecewise constant (jumps).

Penalised maximum likelihood: each kind is fitted to the evidence map, and one with more parameters
must collect more nats than a constant, by a margin. `decide_along_trajectory` then decides a face
that has no constant offset along its trajectory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from avsync.scoring.decision import Decision, decide_from_evidence
from avsync.scoring.result import TrackResult
from avsync.scoring.score_sums import (
    BIN_WINDOWS,
    BLOCK_BINS,
    EvidenceCurve,
    TrackScores,
    sum_bins,
)
from avsync.scoring.trajectory.evidence_map import (
    NATS,
    EvidenceMap,
    build_evidence_map,
    sum_to_blocks,
    to_block_likelihood,
)
from avsync.scoring.trajectory.linear import (
    MAX_PPM,
    RATES,
    LinearTrajectory,
    fit_constant,
    fit_known_rates,
    refine_linear,
    search_linear,
)
from avsync.scoring.trajectory.piecewise import (
    MIN_JUMP_MS,
    PiecewiseTrajectory,
    fit_piecewise,
    refine_change_points,
)
from avsync.tasks.calibration import Calibration
from avsync.timing import FPS

# Penalties in nats: what a trajectory must collect more than a constant to be selected. Most files
# are constant; on rendered clips in sync that nothing was fitted to, a linear one gains half a nat
# on average.
LINEAR_NATS = 5.0
CHANGE_NATS = 12.0
# A drift that moves the offset by less over the whole file is not reported: single sentences differ
# by as much.
MIN_DRIFT_MS = 8.0
# With fewer bins of evidence no trajectory is fitted.
MIN_BINS = 10
# Standard deviations, in ms, of the offset of a sentence around the file's; the one that explains
# the file best is used. Sentences of one take differ by 4 or less, those of GRID, cut apart at
# whole frames, by 12.
SPREADS_MS = (2.5, 5.0, 9.0, 14.0, 20.0)
# Minimum share of the time cells that lie in segments with a confident offset of their own.
MIN_CONFIDENT_SHARE = 0.5

Trajectory = LinearTrajectory | PiecewiseTrajectory


def fit_trajectory(
    tracks: Sequence[TrackScores], search_s: float, calibration: Calibration
) -> Trajectory | None:
    """Return the trajectory that explains the evidence best; None for a constant offset.

    Args:
        tracks: scores of the faces that the speech belongs to.
        search_s: offsets of constant and piecewise trajectories stay within +-search_s.
        calibration: calibration of the model.
    """
    if sum(len(track.bins) for track in tracks) < MIN_BINS:
        return None
    evidence = build_evidence_map(tracks)
    blocks = sum_to_blocks(evidence)
    start = search_linear(to_block_likelihood(blocks, SPREADS_MS[-1]))
    candidates = (
        candidate
        for spread_ms in SPREADS_MS
        for candidate in _candidates(to_block_likelihood(blocks, spread_ms), start, 1000 * search_s)
    )
    best = max(candidates, key=lambda candidate: candidate[0])[1]
    if isinstance(best, PiecewiseTrajectory):
        return _keep_confident_segments(evidence, best, search_s, calibration)
    return best


def decide_along_trajectory(
    track: TrackResult, scores: TrackScores, search_s: float, calibration: Calibration
) -> TrackResult:
    """Decide a face again whose audio matches at no constant offset, along its offset trajectory.

    A jump makes two half peaks, a drift a broad one, so such a face is `no_match` at first. Its
    offset becomes that in the middle of a drift, or that of the longest segment between jumps. All
    other results are returned as they are.
    """
    if track.reason not in ("no_match", "out_of_range"):
        return track
    trajectory = fit_trajectory([scores], search_s, calibration)
    if trajectory is None:
        return track
    evidence = build_evidence_map([scores])
    if isinstance(trajectory, LinearTrajectory):
        decision = _decide_linear(evidence, trajectory, search_s, calibration)
    else:
        segments = _decide_segments(evidence, trajectory, search_s, calibration)
        confident = sum(count for count, decision in segments if decision.status == "ok")
        if confident < MIN_CONFIDENT_SHARE * len(evidence.t_s):
            return track
        decision = max(segments, key=lambda segment: (segment[1].status == "ok", segment[0]))[1]
    return replace(track, **decision._asdict()) if decision.status == "ok" else track


def _candidates(
    blocks: EvidenceMap, start: LinearTrajectory, search_ms: float
) -> Iterator[tuple[float, Trajectory | None]]:
    """Yield nats less the penalty, and the trajectory; None for a constant one."""
    yield fit_constant(blocks, search_ms).nats, None
    drift = refine_linear(blocks, start)
    known_drift = fit_known_rates(blocks, [ppm for ppm, _ in RATES])
    if abs(drift.ppm) * np.ptp(blocks.t_s) / 1000 >= MIN_DRIFT_MS and abs(drift.ppm) <= MAX_PPM:
        yield drift.nats - LINEAR_NATS, drift
    yield known_drift.nats - LINEAR_NATS, known_drift
    jumps = fit_piecewise(blocks, search_ms, CHANGE_NATS)
    if jumps.changes_s:
        yield jumps.nats - CHANGE_NATS * len(jumps.changes_s), jumps


def _keep_confident_segments(
    evidence: EvidenceMap,
    trajectory: PiecewiseTrajectory,
    search_s: float,
    calibration: Calibration,
) -> PiecewiseTrajectory | None:
    """Drop segments without a confident offset of their own; None if one offset is left.

    For a while another speaker's voice may match somewhere by chance: the time of such a segment
    goes to its neighbours.
    """
    levels_ms: list[float] = []
    changes_s: list[float] = []
    starts_s = (-np.inf, *trajectory.changes_s)
    segments = _decide_segments(evidence, trajectory, search_s, calibration)
    for start_s, level_ms, (_, decision) in zip(
        starts_s, trajectory.levels_ms, segments, strict=True
    ):
        if decision.status != "ok":
            continue
        if not levels_ms:
            levels_ms.append(level_ms)
        elif abs(level_ms - levels_ms[-1]) >= MIN_JUMP_MS:
            levels_ms.append(level_ms)
            changes_s.append(float(start_s))
    if len(levels_ms) < 2:
        return None
    kept = PiecewiseTrajectory(tuple(levels_ms), tuple(changes_s), trajectory.nats)
    return refine_change_points(evidence, kept)


def _decide_segments(
    evidence: EvidenceMap,
    trajectory: PiecewiseTrajectory,
    search_s: float,
    calibration: Calibration,
) -> list[tuple[int, Decision]]:
    """Return the number of time cells of each segment, and the decision from these alone."""
    edges = (0, *np.searchsorted(evidence.t_s, trajectory.changes_s), len(evidence.t_s))
    return [
        (high - low, _decide(evidence, evidence.nats, slice(low, high), search_s, calibration))
        for low, high in pairwise(edges)
    ]


def _decide_linear(
    evidence: EvidenceMap, trajectory: LinearTrajectory, search_s: float, calibration: Calibration
) -> Decision:
    path_ms = trajectory.at(evidence.t_s)
    # The offset at the middle; if that is outside the search range, the one nearest to zero.
    middle_ms = float(path_ms[len(path_ms) // 2])
    nearest_ms = float(path_ms[np.argmin(np.abs(path_ms))])
    anchor_ms = middle_ms if abs(middle_ms) <= 1000 * search_s else nearest_ms
    aligned = evidence.aligned(path_ms - anchor_ms)
    return _decide(evidence, aligned, slice(None), search_s, calibration)


def _decide(
    evidence: EvidenceMap,
    nats: np.ndarray,
    cells: slice,
    search_s: float,
    calibration: Calibration,
) -> Decision:
    """Decide from the evidence `(R, K)`, aligned or not, of some of the time cells."""
    steps, offsets_ms = evidence.on_engine_steps(nats[cells] / NATS)
    size = max(1, round(BLOCK_BINS * BIN_WINDOWS / FPS / evidence.width_s))
    blocks = sum_bins(steps, np.arange(len(steps)), size)
    normaliser, windows = None, 0
    if evidence.normalisers is not None and evidence.windows is not None:
        normaliser = float(evidence.normalisers[cells].sum())
        windows = int(evidence.windows[cells].sum())
    curve = EvidenceCurve(steps.sum(0), offsets_ms, blocks, normaliser, windows)
    return decide_from_evidence(curve, search_s, calibration)
