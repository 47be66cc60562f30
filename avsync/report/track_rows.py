"""Group face tracks into rows for drawing: tracks that do not overlap in time share a row."""

from bisect import bisect, insort
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from avsync.scoring.result import Interval, TimelinePoint, TrackResult


class TrackRow(NamedTuple):
    """Tracks that follow one another in time, and their points as one timeline."""

    tracks: tuple[TrackResult, ...]
    points: tuple[TimelinePoint, ...]

    @property
    def measured(self) -> list[TimelinePoint]:
        """Points with an offset."""
        return [point for point in self.points if point.offset_ms is not None]

    @property
    def drift_ms(self) -> float:
        """Median offset of the last third minus that of the first; 0 for few points."""
        offsets = np.array([point.offset_ms for point in self.measured], dtype=np.float64)
        third = len(offsets) // 3
        if third < 2:
            return 0.0
        return float(np.median(offsets[-third:]) - np.median(offsets[:third]))

    def unknown(self) -> list[Interval]:
        """Return the intervals, in seconds, with a face in view but no measured offset."""
        found: list[Interval] = []
        for track in self.tracks:
            points = track.timeline
            times = [point.t_s for point in points]
            middles = [(a + b) / 2 for a, b in pairwise(times)]
            borders = [track.start_s, *middles, track.end_s]
            for k, point in enumerate(points):
                if point.offset_ms is not None:
                    continue
                start = borders[k]
                if found and found[-1][1] >= start:
                    start = found.pop()[0]
                found.append((start, borders[k + 1]))
        return found

    def absent(self, end_s: float) -> list[Interval]:
        """Return the intervals, in seconds, without a face of this row."""
        ends = [0.0, *(track.end_s for track in self.tracks)]
        starts = [*(track.start_s for track in self.tracks), end_s]
        # A gap of less than 0.2 s between two shots is a cut, not an absence.
        return [(a, b) for a, b in zip(ends, starts, strict=True) if b - a > 0.2]


def group_tracks(tracks: tuple[TrackResult, ...]) -> list[TrackRow]:
    """Group tracks into rows, the most confident first.

    Every shot of a video begins new tracks: one row per track would make an endless page.
    """
    rows: list[list[TrackResult]] = []
    for track in sorted(tracks, key=_weight, reverse=True):
        row = next((row for row in rows if _fits(row, track)), None)
        if row is None:
            rows.append([track])
        else:
            insort(row, track, key=_start)
    return [
        TrackRow(tuple(row), tuple(point for track in row for point in track.timeline))
        for row in rows
    ]


def _weight(track: TrackResult) -> float:
    sure = sum(point.confidence for point in track.timeline if point.offset_ms is not None)
    return max(sure, track.confidence * (track.offset_ms is not None))


def _fits(row: list[TrackResult], track: TrackResult) -> bool:
    index = bisect(row, track.start_s, key=_start)
    after_the_last = index == 0 or row[index - 1].end_s <= track.start_s
    before_the_next = index == len(row) or track.end_s <= row[index].start_s
    return after_the_last and before_the_next


def _start(track: TrackResult) -> float:
    return track.start_s
