"""From the evidence over a file's time: how the offset goes, and what kind of fault that is."""

from avsync.scoring.result import Fault, Piece
from avsync.timing import Tolerance, judge


def constant_fault(offset_ms: float, duration_s: float, limits: Tolerance) -> Fault:
    """The fault of a file whose offset is the same all along."""
    pieces = (Piece(0.0, duration_s, offset_ms, 0.0),)
    if judge(offset_ms, limits) == "in_sync":
        return Fault("none", pieces)
    return Fault("constant", pieces, out_s=duration_s, worst_t_s=duration_s / 2, worst_ms=offset_ms)
