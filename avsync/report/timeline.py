"""The offset over time: marks, gaps and axes of the drawing of one row of faces.

Across, positions are percent, so that the drawing fits any screen while its letters keep their
size; upwards they are pixels.
"""

import math
from bisect import bisect
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from avsync.report.axes import Tick, clock, multiples, signed_ms, step_ms, time_ticks
from avsync.report.fault_text import jumps, moving
from avsync.report.track_rows import Row, Stretch
from avsync.scoring.result import CheckResult, Piece, TimelinePoint
from avsync.timing import Tolerance, judge

HEIGHT = 210
# More marks than this run into each other on a wide screen, and bloat the page.
MARKS = 360
# More cuts than this would be a grey veil.
CUTS = 120


class Mark(NamedTuple):
    """One moment, or the middle of a few; `y_low` to `y_high` is their reach.

    `offscale` is 1 or -1 where it lies above or below the drawing.
    """

    t_s: float
    offset_ms: float
    confidence: float
    x: float
    y: float
    y_low: float
    y_high: float
    offscale: int
    tolerated: bool


class Span(NamedTuple):
    """A stretch of time, in percent."""

    x: float
    width: float


class Timeline(NamedTuple):
    """Everything the drawing shows; `joined` moments make a mark, `lines` are SVG points."""

    height: int
    marks: list[Mark]
    joined: int
    lines: list[str]
    gaps: list[Span]
    absent: list[Span]
    cuts: list[float]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    band_top: float
    band_bottom: float
    zero: float
    course: list[str]
    jumps: list[Tick]


class _Frame(NamedTuple):
    """What the drawing spans."""

    end_s: float
    low_ms: float
    high_ms: float

    def across(self, t_s: float) -> float:
        return round(100 * min(max(t_s / self.end_s, 0), 1), 2)

    def down(self, ms: float) -> float:
        ms = min(max(ms, self.low_ms), self.high_ms)
        return round((self.high_ms - ms) / (self.high_ms - self.low_ms) * HEIGHT, 1)

    def spans(self, stretches: list[Stretch]) -> list[Span]:
        edges = [(self.across(start), self.across(end)) for start, end in stretches]
        return [Span(start, round(end - start, 2)) for start, end in edges]


def draw_timeline(
    row: Row, result: CheckResult, limits: Tolerance, end_s: float, most: int = MARKS
) -> Timeline:
    """Return the timeline of one row of faces of a file of `end_s` seconds, with at most `most` marks.

    `course` are SVG points of the lines that the fault of the file follows, `jumps` when it leaves
    one for the next.
    """
    low, high = _reach(row, result, limits)
    frame = _Frame(end_s, low, high)
    measured, unknown = row.measured, row.unknown()
    joined = max(1, math.ceil(len(measured) / most))
    marks = [
        _mark(measured[first : first + joined], frame, limits)
        for first in range(0, len(measured), joined)
    ]
    cuts = [track.start_s for track in row.tracks[1:]]
    fault = moving(result)
    changes = [] if fault is None else jumps(fault)
    return Timeline(
        height=HEIGHT,
        marks=marks,
        joined=joined,
        lines=_lines(marks, sorted([start for start, _ in unknown] + cuts + changes)),
        gaps=frame.spans(unknown),
        absent=frame.spans(row.absent(end_s)),
        cuts=[frame.across(cut) for cut in cuts] if len(cuts) <= CUTS else [],
        x_ticks=time_ticks(end_s),
        y_ticks=[
            Tick(frame.down(ms), signed_ms(ms, 0))
            for ms in multiples(low, high, step_ms(high - low, 8))
        ],
        band_top=frame.down(limits.early_ms),
        band_bottom=frame.down(-limits.late_ms),
        zero=frame.down(0),
        course=[] if fault is None else [_course(piece, frame) for piece in fault.pieces],
        jumps=[Tick(frame.across(t_s), clock(t_s, 1)) for t_s in changes],
    )


def _reach(row: Row, result: CheckResult, limits: Tolerance) -> tuple[float, float]:
    """Return the lowest and highest offset drawn."""
    shown = [-limits.late_ms, limits.early_ms, *(result.interval_ms or ())]
    fault = moving(result)
    for piece in () if fault is None else fault.pieces:
        shown += [piece.at(piece.start_s), piece.at(piece.end_s)]
    measured = row.measured
    offsets = np.array([point.offset_ms for point in measured], dtype=np.float64)
    if len(offsets):
        # One wild and unsure moment shall not flatten all others: it goes off the scale.
        sure = np.array([point.confidence >= 0.5 for point in measured])
        shown += [*np.percentile(offsets, (3, 97)), *offsets[sure]]
    low, high = float(min(shown)), float(max(shown))
    room = 0.15 * (high - low)
    return low - room, high + room


def _course(piece: Piece, frame: _Frame) -> str:
    ends = (piece.start_s, min(piece.end_s, frame.end_s))
    return " ".join(f"{frame.across(t_s):g},{frame.down(piece.at(t_s)):g}" for t_s in ends)


def _mark(points: list[TimelinePoint], frame: _Frame, limits: Tolerance) -> Mark:
    offsets = np.array([point.offset_ms for point in points], dtype=np.float64)
    t_s, confidence = np.mean([(point.t_s, point.confidence) for point in points], axis=0)
    middle = float(np.median(offsets))
    return Mark(
        t_s=float(t_s),
        offset_ms=middle,
        confidence=float(confidence),
        x=frame.across(t_s),
        y=frame.down(middle),
        y_low=frame.down(offsets.min()),
        y_high=frame.down(offsets.max()),
        offscale=int(middle > frame.high_ms) - int(middle < frame.low_ms),
        tolerated=judge(middle, limits) == "in_sync",
    )


def _lines(marks: list[Mark], breaks: list[float]) -> list[str]:
    """Lines through neighbouring marks, broken at moments that cannot tell and at new faces."""
    marks = [mark for mark in marks if not mark.offscale]
    lines = [[mark] for mark in marks[:1]]
    for before, mark in pairwise(marks):
        place = bisect(breaks, before.t_s)
        if place < len(breaks) and breaks[place] < mark.t_s:
            lines.append([])
        lines[-1].append(mark)
    return [" ".join(f"{mark.x:g},{mark.y:g}" for mark in line) for line in lines if len(line) > 1]


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
    """Return a scale wide enough for offset, interval and limits; None where there is no offset."""
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
