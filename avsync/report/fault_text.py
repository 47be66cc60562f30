"""Sentences that describe a fault over time: drift, jumps, intermittent."""

from avsync.report.axes import clock, signed_ms
from avsync.scoring.result import CheckResult, Fault, Piece

# Faults that one offset does not describe.
MOVING = ("drift", "jumps", "intermittent")
# More jumps than this are counted, not listed.
JUMPS = 6
REPAIRS = {
    "drift": "Resample the audio to the speed of the video.",
    "jumps": "Shift the audio segment by segment.",
    "intermittent": "Find the segments out of tolerance: no shift repairs them.",
}


def moving_fault(result: CheckResult) -> Fault | None:
    """Return the fault of a file whose offset is not constant, else None."""
    fault = result.fault
    return fault if fault is not None and fault.kind in MOVING and fault.pieces else None


def headline(fault: Fault) -> str:
    """Return a headline such as `Audio drifts by +500 ppm` or `Audio jumps at 0:42.1`."""
    if fault.kind == "drift":
        return f"Audio drifts by {signed_ms(_ppm(fault), 0)} ppm"
    if fault.kind == "intermittent":
        return "Audio goes out of sync and comes back"
    moments = jumps(fault)
    if len(moments) == 1:
        return f"Audio jumps at {clock(moments[0], 1)}"
    return f"Audio jumps {len(moments)} times"


def describe_trajectory(fault: Fault) -> str:
    """Describe the offset trajectory in one or two sentences."""
    first, last = fault.pieces[0], fault.pieces[-1]
    if fault.kind == "drift":
        words = f"From {_at(first, first.start_s)} at the beginning to {_at(last, last.end_s)} at "
        words += f"the end, {abs(_ppm(fault)) * 0.06:.0f} ms a minute."
        return f"{words} Likely cause: {fault.cause}." if fault.cause else words
    parts = [f"{_at(first, first.start_s)} up to {clock(first.end_s, 1)}"]
    later = fault.pieces[1 : 1 + JUMPS]
    parts += [f"{_at(part, part.start_s)} from {clock(part.start_s, 1)}" for part in later]
    more = len(fault.pieces) - 1 - len(later)
    return ", ".join(parts) + (f", and {more} more changes." if more else ".")


def out_of_tolerance(fault: Fault, duration_s: float | None) -> str:
    """Describe how long a file is out of tolerance, and its worst moment; empty if never."""
    if fault.out_s <= 0 or fault.worst_t_s is None or fault.worst_ms is None:
        return ""
    whole = f" of {clock(duration_s, 1)}" if duration_s else ""
    worst = f"worst at {clock(fault.worst_t_s, 1)} with {signed_ms(fault.worst_ms, 0)} ms"
    return f"Out of tolerance for {clock(fault.out_s, 1)}{whole}, {worst}."


def jumps(fault: Fault) -> list[float]:
    """Return the times of the jumps, in seconds."""
    return [part.start_s for part in fault.pieces[1:]]


def _ppm(fault: Fault) -> float:
    return fault.drift_ppm if fault.drift_ppm is not None else fault.pieces[0].ppm


def _at(part: Piece, t_s: float) -> str:
    return f"{signed_ms(part.at(t_s), 0)} ms"
