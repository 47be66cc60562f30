"""From the evidence over a file's time: how the offset goes, and what kind of fault that is."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from avsync.scoring.result import Fault, FaultKind, Piece
from avsync.scoring.score_sums import TrackScores
from avsync.scoring.trajectory.drift_rates import likely_cause
from avsync.scoring.trajectory.linear import Line
from avsync.scoring.trajectory.model_selection import find_shape
from avsync.scoring.trajectory.piecewise import Steps
from avsync.tasks.calibration import Calibration
from avsync.timing import Tolerance, Verdict, judge

# Offsets this close are the same one come back.
SAME_MS = 40.0
# A file is not in sync that is out of tolerance for so long, or for so much of it.
MAX_OUT_S = 3.0
MAX_OUT_SHARE = 0.05
# Times out of tolerance are counted in steps of this.
STEP_S = 0.1


def find_fault(
    tracks: Sequence[TrackScores],
    offset_ms: float,
    duration_s: float,
    search_s: float,
    limits: Tolerance,
    calibration: Calibration,
) -> Fault:
    """Return how the offset goes over a file.

    Args:
        tracks: the scores of the faces that the voice belongs to.
        offset_ms: the file's offset, which a constant keeps.
        duration_s: length of the file.
        search_s: offsets up to so many seconds to either side are believed.
        limits: what is tolerated.
        calibration: of the model.
    """
    shape = find_shape(tracks, search_s, calibration)
    if isinstance(shape, Line):
        pieces: tuple[Piece, ...] = (Piece(0.0, duration_s, shape.offset_ms, shape.ppm),)
        found = Fault("drift", pieces, shape.ppm, likely_cause(shape.ppm, shape.error_ppm))
    elif isinstance(shape, Steps):
        edges = (0.0, *shape.changes_s, duration_s)
        pieces = tuple(
            Piece(start_s, end_s, level_ms, 0.0)
            for (start_s, end_s), level_ms in zip(pairwise(edges), shape.levels_ms, strict=True)
        )
        found = Fault(_kind_of(pieces, limits), pieces)
    else:
        return constant_fault(offset_ms, duration_s, limits)
    return _with_worst(found, limits)


def verdict_on(fault: Fault, offset_ms: float, duration_s: float, limits: Tolerance) -> Verdict:
    """Return the verdict on a file's offset; on its worst moment where a good part is out of tolerance."""
    if fault.worst_ms is not None and fault.out_s >= min(MAX_OUT_S, MAX_OUT_SHARE * duration_s):
        return judge(fault.worst_ms, limits)
    return judge(offset_ms, limits)


def constant_fault(offset_ms: float, duration_s: float, limits: Tolerance) -> Fault:
    """Return the fault of a file whose offset is the same all along."""
    pieces = (Piece(0.0, duration_s, offset_ms, 0.0),)
    if judge(offset_ms, limits) == "in_sync":
        return Fault("none", pieces)
    return Fault("constant", pieces, out_s=duration_s, worst_t_s=duration_s / 2, worst_ms=offset_ms)


def _kind_of(pieces: tuple[Piece, ...], limits: Tolerance) -> FaultKind:
    """Intermittent where a stretch out of tolerance lies between two that are in it and alike."""
    inside = [judge(piece.offset_ms, limits) == "in_sync" for piece in pieces]
    for first in range(len(pieces)):
        for last in range(first + 2, len(pieces)):
            alike = abs(pieces[first].offset_ms - pieces[last].offset_ms) <= SAME_MS
            if alike and inside[first] and inside[last] and not all(inside[first:last]):
                return "intermittent"
    return "jumps"


def _with_worst(fault: Fault, limits: Tolerance) -> Fault:
    """Return the same with how long it is out of tolerance, and when most."""
    out_s, worst = 0.0, (0.0, 0.0, 0.0)
    for piece in fault.pieces:
        count = max(1, round((piece.end_s - piece.start_s) / STEP_S))
        step_s = (piece.end_s - piece.start_s) / count
        t_s = piece.start_s + step_s * (np.arange(count) + 0.5)
        offset_ms = piece.offset_ms + piece.ppm / 1000 * (t_s - piece.start_s)
        excess = np.maximum(offset_ms - limits.early_ms, -limits.late_ms - offset_ms)
        out_s += step_s * float((excess > 0).sum())
        at = int(np.argmax(excess + 1e-9 * np.minimum(t_s - piece.start_s, piece.end_s - t_s)))
        worst = max(worst, (float(excess[at]), float(t_s[at]), float(offset_ms[at])))
    if out_s == 0:
        return fault
    return replace(fault, out_s=out_s, worst_t_s=worst[1], worst_ms=worst[2])
