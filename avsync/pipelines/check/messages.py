"""The answer for a file as one line in plain words, and as the exit code of the command."""

from collections.abc import Iterable
from itertools import pairwise

from avsync.scoring.result import CheckResult, Fault, Interval
from avsync.timing import describe_offset, tolerance

IN_TOLERANCE, OUT_OF_TOLERANCE, CANNOT_TELL, UNREADABLE = 0, 10, 11, 12
# More jumps than these are counted in a sentence, not told.
MAX_CHANGES = 3


def sentence(result: CheckResult) -> str:
    """Return the answer for a file, on one line.

    `a.mp4: audio leads by 83 ms (79 to 88, confidence 0.97): out of tolerance (EBU R37)`, or
    `b.mp4: cannot tell: no face found`.
    """
    return f"{printable(result.file)}: {printable(answer(result))}"


def answer(result: CheckResult) -> str:
    """Return the same without the file's name."""
    if result.status != "ok" or result.offset_ms is None:
        status = "unreadable" if result.status == "unreadable" else "cannot tell"
        cause = result.detail or (result.reason or "no reason is known").replace("_", " ")
        return f"{status}: {cause}"
    limits = tolerance(result.profile)
    numbers = f"confidence {result.confidence:.2f}"
    if result.interval_ms is not None:
        numbers = f"{_range(result.offset_ms, result.interval_ms)}, {numbers}"
    verdict = "in tolerance" if result.verdict == "in_sync" else "out of tolerance"
    if result.borderline:
        verdict += ", borderline"
    what = describe_fault(result.fault) or describe_offset(result.offset_ms)
    return f"{what} ({numbers}): {verdict} ({limits.source})"


def describe_fault(fault: Fault | None) -> str | None:
    """Return a fault that changes over the file, in words; None where there is one offset to tell.

    `audio drifts by +500 ppm (30 ms a minute), from +2 to +62 ms: made at ...`, or `audio jumps at
    0:42.1 from +0 to +120 ms`.
    """
    if fault is None or fault.kind in ("none", "constant"):
        return None
    if fault.kind == "drift":
        (piece,) = fault.pieces
        rate = f"{piece.ppm:+.0f} ppm ({abs(piece.ppm) * 0.06:.0f} ms a minute)"
        ends = f"from {piece.offset_ms:+.0f} to {piece.at(piece.end_s):+.0f} ms"
        return f"audio drifts by {rate}, {ends}: {fault.cause}"
    if fault.kind == "intermittent":
        worst = f", worst {fault.worst_ms:+.0f} ms at {clock(fault.worst_t_s or 0.0)}"
        return f"audio comes and goes, {fault.out_s:.0f} s out of tolerance{worst}"
    changes = [
        f"at {clock(after.start_s)} from {before.offset_ms:+.0f} to {after.offset_ms:+.0f} ms"
        for before, after in pairwise(fault.pieces)
    ]
    more = f" and {len(changes) - MAX_CHANGES} times more" if len(changes) > MAX_CHANGES else ""
    return f"audio jumps {', '.join(changes[:MAX_CHANGES])}{more}"


def clock(t_s: float) -> str:
    """Return a time in a file: `0:42.1`, `1:02:03.4`."""
    tenths = round(10 * t_s)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600
    ahead = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{ahead}:{rest / 10:04.1f}"


def exit_code(result: CheckResult) -> int:
    """0 in tolerance, 10 out of tolerance, 11 cannot tell, 12 unreadable."""
    if result.status == "unreadable":
        return UNREADABLE
    if result.status == "cannot_tell" or result.verdict is None:
        return CANNOT_TELL
    return IN_TOLERANCE if result.verdict == "in_sync" else OUT_OF_TOLERANCE


def worst(results: Iterable[CheckResult]) -> int:
    """Return the exit code of a batch: the highest of its files, 0 for none."""
    return max(map(exit_code, results), default=IN_TOLERANCE)


def printable(text: str) -> str:
    """Return the text on one line: a file's name may hold line feeds, terminal escapes or stray bytes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _range(offset_ms: float, interval_ms: Interval) -> str:
    # Counted the way the words count: `lags by 83 ms (79 to 88)` for the interval -88 to -79.
    low, high = interval_ms if round(offset_ms) >= 0 else (-interval_ms[1], -interval_ms[0])
    unit = "" if round(offset_ms) else " ms"
    return f"{round(low)} to {round(high)}{unit}"
