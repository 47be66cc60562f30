"""Classify the offset trajectory of a file as a fault: constant, drift, jumps or intermittent."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from avsync.scoring.result import Fault, FaultKind, OffsetSegment
from avsync.scoring.score_sums import TrackScores
from avsync.scoring.trajectory.linear import LinearTrajectory, likely_cause
from avsync.scoring.trajectory.model_selection import fit_trajectory
from avsync.tasks.calibration import Calibration
from avsync.timing import Tolerance, Verdict, judge

# Offsets of two segments that are this close count as equal.
SAME_MS = 40.0
# A file that is out of tolerance for this long, or for this share of it, is not in sync.
MAX_OUT_S = 3.0
MAX_OUT_SHARE = 0.05
# Resolution of the time out of tolerance.
STEP_S = 0.1


def find_fault(
    tracks: Sequence[TrackScores],
    offset_ms: float,
    duration_s: float,
    search_s: float,
    limits: Tolerance,
    calibration: Calibration,
) -> Fault:
    """Fit the offset trajectory of a file and classify it.

    Args:
        tracks: scores of the faces that the speech belongs to.
        offset_ms: offset of the file, used if the trajectory is constant.
        duration_s: length of the file.
        search_s: offsets of constant and piecewise trajectories stay within +-search_s.
        limits: tolerance of the profile.
        calibration: calibration of the model.
    """
    trajectory = fit_trajectory(tracks, search_s, calibration)
    if trajectory is None:
        return constant_fault(offset_ms, duration_s, limits)
    if isinstance(trajectory, LinearTrajectory):
        drift = OffsetSegment(0.0, duration_s, trajectory.offset_ms, trajectory.ppm)
        cause = likely_cause(trajectory.ppm, trajectory.error_ppm)
        return with_worst(Fault("drift", (drift,), trajectory.ppm, cause), limits)
    edges = (0.0, *trajectory.changes_s, duration_s)
    segments = tuple(
        OffsetSegment(start_s, end_s, level_ms, 0.0)
        for (start_s, end_s), level_ms in zip(pairwise(edges), trajectory.levels_ms, strict=True)
    )
    return with_worst(Fault(classify_jumps(segments, limits), segments), limits)


def constant_fault(offset_ms: float, duration_s: float, limits: Tolerance) -> Fault:
    """Return the fault of a file with a constant offset."""
    segments = (OffsetSegment(0.0, duration_s, offset_ms, 0.0),)
    if judge(offset_ms, limits) == "in_sync":
        return Fault("none", segments)
    middle_s = duration_s / 2
    return Fault("constant", segments, out_s=duration_s, worst_t_s=middle_s, worst_ms=offset_ms)


def decide_verdict(fault: Fault, offset_ms: float, duration_s: float, limits: Tolerance) -> Verdict:
    """Return the verdict on a file.

    It goes by the offset of the file; by that of the worst moment if the file is out of tolerance
    for `MAX_OUT_S`, or for `MAX_OUT_SHARE` of its length.
    """
    if fault.worst_ms is not None and fault.out_s >= min(MAX_OUT_S, MAX_OUT_SHARE * duration_s):
        return judge(fault.worst_ms, limits)
    return judge(offset_ms, limits)


def classify_jumps(segments: tuple[OffsetSegment, ...], limits: Tolerance) -> FaultKind:
    """Return `intermittent` if the offset leaves tolerance and returns to what it was."""
    inside = [judge(segment.offset_ms, limits) == "in_sync" for segment in segments]
    for first in range(len(segments)):
        for last in range(first + 2, len(segments)):
            same = abs(segments[first].offset_ms - segments[last].offset_ms) <= SAME_MS
            if same and inside[first] and inside[last] and not all(inside[first:last]):
                return "intermittent"
    return "jumps"


def with_worst(fault: Fault, limits: Tolerance) -> Fault:
    """Fill in the time out of tolerance and the worst moment."""
    out_s, worst = 0.0, (0.0, 0.0, 0.0)
    for segment in fault.pieces:
        count = max(1, round((segment.end_s - segment.start_s) / STEP_S))
        step_s = (segment.end_s - segment.start_s) / count
        t_s = segment.start_s + step_s * (np.arange(count) + 0.5)
        offset_ms = segment.offset_ms + segment.ppm / 1000 * (t_s - segment.start_s)
        excess = np.maximum(offset_ms - limits.early_ms, -limits.late_ms - offset_ms)
        out_s += step_s * float((excess > 0).sum())
        # Of equal moments, the one furthest from the segment's ends.
        centrality = np.minimum(t_s - segment.start_s, segment.end_s - t_s)
        at = int(np.argmax(excess + 1e-9 * centrality))
        worst = max(worst, (float(excess[at]), float(t_s[at]), float(offset_ms[at])))
    if out_s == 0:
        return fault
    return replace(fault, out_s=out_s, worst_t_s=worst[1], worst_ms=worst[2])
