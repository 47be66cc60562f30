"""Describe the result for a file in one line, and map it to an exit code of the command."""

from collections.abc import Iterable
from itertools import pairwise

from avsync.escaping import printable as printable
from avsync.scoring.result import CheckResult, Fault, Interval, StreamResult
from avsync.timing import DEFAULT_PROFILE, describe_offset, tolerance

IN_TOLERANCE, OUT_OF_TOLERANCE, CANNOT_TELL, UNREADABLE = 0, 10, 11, 12
# If less than this share of the video supports an answer, the line says so.
MIN_MENTIONED_SHARE = 0.5
# Further jumps are counted in the line, not listed.
MAX_CHANGES = 3


def describe_result(result: CheckResult) -> str:
    """Describe the result for a file in one line.

    `a.mp4: audio leads by 83 ms (79 to 88, confidence 0.97): out of tolerance (EBU R37)`, or
    `b.mp4: cannot tell: no face found`. Where there are several streams, the one that the numbers
    are of is named: `c.mkv: audio 1 (fra): audio lags by 200 ms ...`.
    """
    named = "".join(f"{words}: " for words in (describe_judge(result),) if words)
    return f"{printable(result.file)}: {printable(named + describe_outcome(result))}"


def describe_all(result: CheckResult, when: str = "") -> list[str]:
    """Describe the result for a file in one line, and each of several audio streams below it.

    Args:
        result: the result.
        when: put before the line: `before`, `after`.
    """
    start = f"{when:7} " if when else ""
    streams = [f"{' ' * len(start)}  {line}" for line in describe_streams(result)]
    return [f"{start}{describe_result(result)}", *streams]


def describe_streams(result: CheckResult) -> list[str]:
    """Describe each audio stream of a file in one line; none if there is only one."""
    if len(result.streams) < 2:
        return []
    return [
        printable(f"{_stream_words(stream)}: {describe_outcome(stream, result.profile)}")
        for stream in result.streams
    ]


def describe_judge(result: CheckResult) -> str:
    """Name the streams that a result is of, where there is a choice: `video 1, audio 0 (eng)`."""
    words = [f"video {result.video}"] if result.video else []
    judge = next((stream for stream in result.streams if stream.audio == result.audio), None)
    if judge is not None and (len(result.streams) > 1 or judge.channel):
        words.append(_stream_words(judge))
    return ", ".join(words)


def _stream_words(stream: StreamResult) -> str:
    channel = f", channel {stream.channel} alone" if stream.channel else ""
    return f"{stream.name}{channel}"


def describe_outcome(result: CheckResult | StreamResult, profile: str | None = None) -> str:
    """Describe the result for a file or an audio stream, without its name.

    Args:
        result: the result.
        profile: tolerance profile of a stream's verdict; that of a file is its own.
    """
    if result.status != "ok" or result.offset_ms is None:
        status = "unreadable" if result.status == "unreadable" else "cannot tell"
        cause = result.detail or (result.reason or "no reason is known").replace("_", " ")
        return f"{status}: {cause}"
    if profile is None:
        profile = result.profile if isinstance(result, CheckResult) else DEFAULT_PROFILE
    limits = tolerance(profile)
    numbers = f"confidence {result.confidence:.2f}"
    if result.interval_ms is not None:
        numbers = f"{_range(result.offset_ms, result.interval_ms)}, {numbers}"
    verdict = "in tolerance" if result.verdict == "in_sync" else "out of tolerance"
    if result.borderline:
        verdict += ", borderline"
    elif isinstance(result, CheckResult) and result.absolute_borderline:
        verdict += (
            f", borderline within the {result.zero_uncertainty_ms:.0f} ms of the model's zero"
        )
    what = describe_fault(result.fault) or describe_offset(result.offset_ms)
    return f"{what} ({numbers}): {verdict} ({limits.source}){_coverage_words(result)}"


def _coverage_words(result: CheckResult | StreamResult) -> str:
    """Return how much of the video an answer rests on, if that is less than half of it."""
    if result.coverage is None or result.verdict != "in_sync":
        return ""
    supports_s, total_s = result.coverage.supports_s, sum(result.coverage)
    if supports_s >= MIN_MENTIONED_SHARE * total_s:
        return ""
    return f", by {supports_s:.0f} s of {total_s:.0f} s"


def describe_fault(fault: Fault | None) -> str | None:
    """Describe an offset that changes over the file; None if the offset is constant.

    `audio drifts by +500 ppm (30 ms a minute), from +2 to +62 ms: made at ...`, or `audio jumps at
    0:42.1 from +0 to +120 ms`.
    """
    if fault is None or fault.kind in ("none", "constant"):
        return None
    if fault.kind == "drift":
        (drift,) = fault.pieces
        rate = f"{drift.ppm:+.0f} ppm ({abs(drift.ppm) * 0.06:.0f} ms a minute)"
        ends = f"from {drift.offset_ms:+.0f} to {drift.at(drift.end_s):+.0f} ms"
        return f"audio drifts by {rate}, {ends}: {fault.cause}"
    if fault.kind == "intermittent":
        worst = f", worst {fault.worst_ms:+.0f} ms at {format_time(fault.worst_t_s or 0.0)}"
        return f"audio goes out of sync and back, {fault.out_s:.0f} s out of tolerance{worst}"
    changes = [
        f"at {format_time(after.start_s)} from {before.offset_ms:+.0f} to {after.offset_ms:+.0f} ms"
        for before, after in pairwise(fault.pieces)
    ]
    more = f" and {len(changes) - MAX_CHANGES} times more" if len(changes) > MAX_CHANGES else ""
    return f"audio jumps {', '.join(changes[:MAX_CHANGES])}{more}"


def format_time(t_s: float) -> str:
    """Format a time in a file: `0:42.1`, `1:02:03.4`."""
    tenths = round(10 * t_s)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600
    whole = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{whole}:{rest / 10:04.1f}"


def exit_code(result: CheckResult) -> int:
    """Return 0 in tolerance, 10 out of tolerance, 11 cannot tell, 12 unreadable."""
    if result.status == "unreadable":
        return UNREADABLE
    if result.status == "cannot_tell" or result.verdict is None:
        return CANNOT_TELL
    return IN_TOLERANCE if result.verdict == "in_sync" else OUT_OF_TOLERANCE


def worst_exit_code(results: Iterable[CheckResult]) -> int:
    """Return the exit code of a batch: the highest of its files, 0 for none."""
    return max(map(exit_code, results), default=IN_TOLERANCE)


def _range(offset_ms: float, interval_ms: Interval) -> str:
    # In the direction of the words: `lags by 83 ms (79 to 88)` for the interval -88 to -79.
    low, high = interval_ms if round(offset_ms) >= 0 else (-interval_ms[1], -interval_ms[0])
    unit = "" if round(offset_ms) else " ms"
    return f"{round(low)} to {round(high)}{unit}"
