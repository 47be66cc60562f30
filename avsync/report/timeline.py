"""Timeline of the offset: marks, gaps and axes of one row of faces, and the scale of the offset.

Horizontal positions are percent, so that the drawing fits any screen at a fixed font size; vertical
ones are pixels.
"""

import math
from bisect import bisect
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from avsync.report.axes import Tick, clock, multiples, signed_ms, step_ms, time_ticks
from avsync.report.fault_text import jumps, moving_fault
from avsync.report.track_rows import TrackRow
from avsync.scoring.result import CheckResult, Interval, Piece, TimelinePoint
from avsync.timing import Tolerance, judge

HEIGHT = 210
# More marks than this run into each other on a wide screen, and bloat the page.
MARKS = 360
# More cuts than this would shade the whole drawing.
CUTS = 120


class Mark(NamedTuple):
    """Mark of one timeline point, or of a few: `y_low` to `y_high` is their range.

    `offscale` is 1 or -1 if it lies above or below the drawing.
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


class Band(NamedTuple):
    """A time interval on the drawing, in percent."""

    x: float
    width: float


class Timeline(NamedTuple):
    """Content of the drawing; each mark joins `joined` points, `lines` are SVG point lists."""

    height: int
    marks: list[Mark]
    joined: int
    lines: list[str]
    gaps: list[Band]
    absent: list[Band]
    cuts: list[float]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    band_top: float
    band_bottom: float
    zero: float
    trajectory: list[str]
    jumps: list[Tick]


class _Plot(NamedTuple):
    """Data range of the drawing, and its mapping to positions."""

    end_s: float
    low_ms: float
    high_ms: float

    def across(self, t_s: float) -> float:
        return round(100 * min(max(t_s / self.end_s, 0), 1), 2)

    def down(self, ms: float) -> float:
        ms = min(max(ms, self.low_ms), self.high_ms)
        return round((self.high_ms - ms) / (self.high_ms - self.low_ms) * HEIGHT, 1)

    def bands(self, intervals: list[Interval]) -> list[Band]:
        edges = [(self.across(start), self.across(end)) for start, end in intervals]
        return [Band(start, round(end - start, 2)) for start, end in edges]


def draw_timeline(
    row: TrackRow, result: CheckResult, limits: Tolerance, end_s: float, most: int = MARKS
) -> Timeline:
    """Draw the timeline of one row of faces.

    Args:
        row: the tracks.
        result: result of the file; its fault gives `trajectory` and `jumps`.
        limits: the tolerance.
        end_s: duration of the file, in seconds.
        most: largest number of marks.
    """
    low, high = _reach(row, result, limits)
    plot = _Plot(end_s, low, high)
    measured, unknown = row.measured, row.unknown()
    joined = max(1, math.ceil(len(measured) / most))
    marks = [
        _mark(measured[first : first + joined], plot, limits)
        for first in range(0, len(measured), joined)
    ]
    cuts = [track.start_s for track in row.tracks[1:]]
    fault = moving_fault(result)
    changes = [] if fault is None else jumps(fault)
    return Timeline(
        height=HEIGHT,
        marks=marks,
        joined=joined,
        lines=_lines(marks, sorted([start for start, _ in unknown] + cuts + changes)),
        gaps=plot.bands(unknown),
        absent=plot.bands(row.absent(end_s)),
        cuts=[plot.across(cut) for cut in cuts] if len(cuts) <= CUTS else [],
        x_ticks=time_ticks(end_s),
        y_ticks=[
            Tick(plot.down(ms), signed_ms(ms, 0))
            for ms in multiples(low, high, step_ms(high - low, 8))
        ],
        band_top=plot.down(limits.early_ms),
        band_bottom=plot.down(-limits.late_ms),
        zero=plot.down(0),
        trajectory=[] if fault is None else [_segment_line(part, plot) for part in fault.pieces],
        jumps=[Tick(plot.across(t_s), clock(t_s, 1)) for t_s in changes],
    )


def _reach(row: TrackRow, result: CheckResult, limits: Tolerance) -> tuple[float, float]:
    """Return the lowest and highest offset drawn."""
    shown = [-limits.late_ms, limits.early_ms, *(result.interval_ms or ())]
    fault = moving_fault(result)
    for part in () if fault is None else fault.pieces:
        shown += [part.at(part.start_s), part.at(part.end_s)]
    measured = row.measured
    offsets = np.array([point.offset_ms for point in measured], dtype=np.float64)
    if len(offsets):
        # One uncertain outlier must not flatten the rest: it is drawn off the scale.
        sure = np.array([point.confidence >= 0.5 for point in measured])
        shown += [*np.percentile(offsets, (3, 97)), *offsets[sure]]
    low, high = float(min(shown)), float(max(shown))
    room = 0.15 * (high - low)
    return low - room, high + room


def _segment_line(part: Piece, plot: _Plot) -> str:
    ends = (part.start_s, min(part.end_s, plot.end_s))
    return " ".join(f"{plot.across(t_s):g},{plot.down(part.at(t_s)):g}" for t_s in ends)


def _mark(points: list[TimelinePoint], plot: _Plot, limits: Tolerance) -> Mark:
    offsets = np.array([point.offset_ms for point in points], dtype=np.float64)
    t_s, confidence = np.mean([(point.t_s, point.confidence) for point in points], axis=0)
    middle = float(np.median(offsets))
    return Mark(
        t_s=float(t_s),
        offset_ms=middle,
        confidence=float(confidence),
        x=plot.across(t_s),
        y=plot.down(middle),
        y_low=plot.down(offsets.min()),
        y_high=plot.down(offsets.max()),
        offscale=int(middle > plot.high_ms) - int(middle < plot.low_ms),
        tolerated=judge(middle, limits) == "in_sync",
    )


def _lines(marks: list[Mark], breaks: list[float]) -> list[str]:
    """Return lines through neighbouring marks, broken at unmeasured points and at new faces."""
    marks = [mark for mark in marks if not mark.offscale]
    lines = [[mark] for mark in marks[:1]]
    for before, mark in pairwise(marks):
        index = bisect(breaks, before.t_s)
        if index < len(breaks) and breaks[index] < mark.t_s:
            lines.append([])
        lines[-1].append(mark)
    return [" ".join(f"{mark.x:g},{mark.y:g}" for mark in line) for line in lines if len(line) > 1]


SCALES_MS = (50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000)


class Scale(NamedTuple):
    """Offset scale from `-reach_ms` to `reach_ms`; positions in percent, to fit any screen."""

    reach_ms: float
    late: Tick
    early: Tick
    show_zero: bool
    ticks: list[float]
    offset: Tick
    interval: tuple[float, float] | None


def draw_scale(result: CheckResult, limits: Tolerance) -> Scale | None:
    """Draw a scale wide enough for offset, interval and limits; None without an offset."""
    if result.offset_ms is None:
        return None
    interval = result.interval_ms
    furthest = max(abs(ms) for ms in (result.offset_ms, *(interval or ())))
    widest = max(1.6 * max(limits.early_ms, limits.late_ms), 1.2 * furthest)
    reach = next((scale for scale in SCALES_MS if scale >= widest), widest)

    def across(ms: float) -> float:
        return round(50 + 50 * ms / reach, 2)

    return Scale(
        reach_ms=reach,
        late=Tick(across(-limits.late_ms), signed_ms(-limits.late_ms, 0)),
        early=Tick(across(limits.early_ms), signed_ms(limits.early_ms, 0)),
        # On a narrow screen the limits' labels would run into the zero between them.
        show_zero=min(limits.early_ms, limits.late_ms) / reach > 0.2,
        ticks=[across(ms) for ms in multiples(-reach, reach, step_ms(reach, 10))],
        offset=Tick(across(result.offset_ms), signed_ms(result.offset_ms)),
        interval=None if interval is None else (across(interval[0]), across(interval[1])),
    )
