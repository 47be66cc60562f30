"""What the page shows of a result: its words, drawings and pictures, ready to be set."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.media.container import UnreadableMedia
from avsync.pipelines.report.advice import Advice, advise, in_words
from avsync.pipelines.report.axes import Tick, clock, multiples, signed_ms, step_ms
from avsync.pipelines.report.heat_map import HeatMap, draw_heat_map
from avsync.pipelines.report.moments import (
    Moment,
    Picture,
    choose_moments,
    read_pictures,
    spread,
)
from avsync.pipelines.report.rows import Row, rows_of
from avsync.pipelines.report.scale import Scale, draw_scale
from avsync.pipelines.report.timeline import Timeline, draw_timeline
from avsync.pipelines.words import printable
from avsync.scoring.result import CheckResult
from avsync.timing import FRAME_MS, Tolerance, describe_offset, tolerance

# A crowd has many rows of faces: the surest are shown, the others counted.
ROWS = 4
NO_PICTURES = "Pictures are left out"


class Shot(NamedTuple):
    """A picture of a moment with what belongs under it."""

    moment: Moment
    picture: Picture
    words: str
    wave: str


class RowView(NamedTuple):
    """What is drawn of one row of faces."""

    title: str
    summary: str
    row: Row
    timeline: Timeline
    heat_map: HeatMap | None
    heat_ticks: list[Tick]
    shots: list[Shot]


class FileView(NamedTuple):
    """What is drawn of one file."""

    result: CheckResult
    name: str
    advice: Advice
    limits: Tolerance
    scale: Scale | None
    rows: list[RowView]
    hidden_rows: int
    overview: list[Shot]
    no_pictures: str


def view_of(result: CheckResult) -> FileView:
    """Everything the page shows of one result, with pictures from its file where it still is."""
    limits = tolerance(result.profile)
    # For people to read; pictures and the command line still go by the true name.
    shown_result = replace(result, file=printable(result.file), detail=printable(result.detail))
    end_s = max([result.duration_s or 0.0, *(track.end_s for track in result.tracks)])
    rows = rows_of(result.tracks)
    shown = rows[:ROWS] if end_s > 0 else []
    chosen = [choose_moments(row, limits) for row in shown]
    if not chosen and end_s > 0 and result.status != "unreadable":
        chosen = [[Moment(t_s) for t_s in spread(0, end_s)]]
    shots, no_pictures = _shots(result, chosen)
    advice = advise(replace(result, detail=shown_result.detail))
    return FileView(
        result=shown_result,
        name=Path(shown_result.file).name or shown_result.file,
        advice=advice,
        limits=limits,
        scale=draw_scale(result, limits),
        rows=[
            _row_view(row, result, limits, end_s, part)
            for row, part in zip(shown, shots[: len(shown)], strict=True)
        ],
        hidden_rows=len(rows) - len(shown),
        overview=[] if shown else [shot for part in shots for shot in part],
        no_pictures=no_pictures,
    )


def _row_view(
    row: Row, result: CheckResult, limits: Tolerance, end_s: float, shots: list[Shot]
) -> RowView:
    heat_map = draw_heat_map(row.tracks, end_s)
    ticks = []
    if heat_map is not None:
        low, high = heat_map.low_ms, heat_map.high_ms
        levels = multiples(low, high, step_ms(high - low, 5))
        ticks = [Tick(100 * (high - ms) / (high - low), signed_ms(ms, 0)) for ms in levels]
    return RowView(
        title=_title(row),
        summary=_summary(row, limits),
        row=row,
        timeline=draw_timeline(row, result, limits, end_s),
        heat_map=heat_map,
        heat_ticks=ticks,
        shots=shots,
    )


def _title(row: Row) -> str:
    first, last = row.tracks[0], row.tracks[-1]
    when = f"{clock(first.start_s)} to {clock(last.end_s)}"
    if len(row.tracks) == 1:
        return f"Face {first.track}, {when}"
    return f"{len(row.tracks)} faces, one after another, {when}"


def _summary(row: Row, limits: Tolerance) -> str:
    """What the timeline shows, in words and numbers."""
    measured = row.measured
    if not measured:
        causes = dict.fromkeys(in_words(track) for track in row.tracks if track.offset_ms is None)
        return "; ".join(causes) + "." if causes else "No moment was measured on its own."
    offsets = np.array([point.offset_ms for point in measured])
    low, high = (signed_ms(end, 0) for end in np.percentile(offsets, (5, 95)))
    beyond = int(((offsets > limits.early_ms) | (offsets < -limits.late_ms)).sum())
    share = "all" if beyond == len(offsets) else f"{beyond or 'none'}"
    spread_words = f"between {low} and {high} ms" if low != high else f"at {low} ms"
    words = (
        f"{len(measured)} of {len(row.points)} moments could be measured, {share} of these "
        f"out of tolerance. Nine in ten lie {spread_words}."
    )
    if abs(row.drift_ms) > FRAME_MS:
        moved = signed_ms(row.drift_ms, 0)
        words += f" From the first third to the last, the offset moves by {moved} ms."
    return words


def _shots(result: CheckResult, chosen: list[list[Moment]]) -> tuple[list[list[Shot]], str]:
    """Pictures for the chosen moments of every row, and why there are none or not all."""
    none: list[list[Shot]] = [[] for _ in chosen]
    wanted = [moment for part in chosen for moment in part]
    if not wanted:
        return none, ""
    if not Path(result.file).is_file():
        return none, f"{NO_PICTURES}: the file was not found when this page was written."
    try:
        pictures = iter(read_pictures(result.file, wanted))
    except UnreadableMedia as error:
        return none, f"{NO_PICTURES}: {printable(str(error))}."
    shots = [[_shot(moment, next(pictures)) for moment in part] for part in chosen]
    found = [[shot for shot in part if shot is not None] for part in shots]
    missing = len(wanted) - sum(map(len, found))
    note = f"{missing} of {len(wanted)} pictures could not be read in time." if missing else ""
    return found, note


def _shot(moment: Moment, picture: Picture | None) -> Shot | None:
    if picture is None:
        return None
    point = moment.point
    words = "" if point is None or point.offset_ms is None else describe_offset(point.offset_ms)
    return Shot(moment, picture, words, _wave(picture.loudness))


def _wave(loudness: np.ndarray | None) -> str:
    """The outline of the loudness as a path in a box of BARS by 2, quiet = a line in the middle."""
    if loudness is None:
        return ""
    heights = np.maximum(0.04, loudness)
    upper = [f"{k},{1 - height:.2f}" for k, height in enumerate(heights)]
    lower = [f"{k},{1 + height:.2f}" for k, height in reversed(list(enumerate(heights)))]
    return "M" + "L".join(upper + lower) + "Z"
