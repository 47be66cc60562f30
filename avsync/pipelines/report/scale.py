"""The offset of a file on a scale beside what is tolerated."""

from typing import NamedTuple

from avsync.pipelines.report.axes import Tick, multiples, signed_ms, step_ms
from avsync.scoring.result import CheckResult
from avsync.timing import Tolerance

SPANS_MS = (50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000)


class Scale(NamedTuple):
    """Where things lie from `-span_ms` to `span_ms`, in percent, so that it fits any screen."""

    span_ms: float
    late: Tick
    early: Tick
    show_zero: bool
    ticks: list[float]
    offset: Tick
    interval: tuple[float, float] | None


def draw_scale(result: CheckResult, limits: Tolerance) -> Scale | None:
    """A scale wide enough for offset, interval and limits; None where there is no offset."""
    if result.offset_ms is None:
        return None
    interval = result.interval_ms
    furthest = max(abs(ms) for ms in (result.offset_ms, *(interval or ())))
    widest = max(1.6 * max(limits.early_ms, limits.late_ms), 1.2 * furthest)
    span = next((span for span in SPANS_MS if span >= widest), widest)

    def across(ms: float) -> float:
        return round(50 + 50 * ms / span, 2)

    return Scale(
        span_ms=span,
        late=Tick(across(-limits.late_ms), signed_ms(-limits.late_ms, 0)),
        early=Tick(across(limits.early_ms), signed_ms(limits.early_ms, 0)),
        # On a narrow screen the limits' labels would run into the zero between them.
        show_zero=min(limits.early_ms, limits.late_ms) / span > 0.2,
        ticks=[across(ms) for ms in multiples(-span, span, step_ms(span, 10))],
        offset=Tick(across(result.offset_ms), signed_ms(result.offset_ms)),
        interval=None if interval is None else (across(interval[0]), across(interval[1])),
    )
