"""What the page shows of a result: its words, drawings and images, ready to be set."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.media.container import UnreadableMedia
from avsync.pipelines.check.messages import printable
from avsync.report.axes import Tick, clock, multiples, signed_ms, step_ms
from avsync.report.fault_text import moving
from avsync.report.heat_map import COARSE, FINE, Grain, HeatMap, draw_heat_map
from avsync.report.preview_clips import read_clips
from avsync.report.thumbnails import WORST, Moment, Picture, choose_moments, read_images, spread
from avsync.report.timeline import MARKS, Scale, Timeline, draw_scale, draw_timeline
from avsync.report.track_rows import Row, rows_of
from avsync.report.verdict_text import Advice, advise, in_words
from avsync.scoring.result import CheckResult
from avsync.timing import FRAME_MS, Tolerance, describe_offset, tolerance

NO_PICTURES = "Images are left out"


class Detail(NamedTuple):
    """How much of a file is shown.

    Args:
        rows: rows of faces that are drawn; of a crowd the surest are, the others are counted.
        marks: marks of a timeline.
        grain: of the heat map.
        moments: images, and how many of them are clips; 0: the file is not opened again.
        budget_s: seconds for the images, and again for the clips.
        faces: rows of the table of faces; a video has thousands of shots, each with new ones.
        numbers: whether the timeline is given in numbers too.
    """

    rows: int
    marks: int
    grain: Grain
    moments: int
    clips: int
    budget_s: float
    faces: int
    numbers: bool


# A file by itself, or one of few.
FULL = Detail(4, MARKS, FINE, 5, 5, 6.0, 200, True)
# One of the worst of many, one of the others, and one of thousands.
SMALL = Detail(1, 60, COARSE, 2, 1, 2.0, 12, False)
SMALLEST = Detail(1, 60, COARSE, 0, 0, 0.0, 12, False)
BARE = Detail(0, 0, COARSE, 0, 0, 0.0, 0, False)


class Shot(NamedTuple):
    """An image of a moment with what belongs under it; `clip`: a video to play, or empty."""

    moment: Moment
    image: Picture
    words: str
    wave: str
    clip: str


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
    no_images: str
    detail: Detail


def view_of(result: CheckResult, detail: Detail = FULL) -> FileView:
    """Return what the page shows of one result, with images from its file where it still is."""
    limits = tolerance(result.profile)
    # For people to read; images and the command line still go by the true name.
    shown_result = replace(result, file=printable(result.file), detail=printable(result.detail))
    end_s = max([result.duration_s or 0.0, *(track.end_s for track in result.tracks)])
    rows = rows_of(result.tracks)
    shown = rows[: detail.rows] if end_s > 0 else []
    most = detail.moments
    chosen = [choose_moments(row, limits, result.fault, most) if most else [] for row in shown]
    if not chosen and end_s > 0 and most and result.status != "unreadable":
        chosen = [[Moment(t_s) for t_s in spread(0, end_s, most)]]
    shots, no_images = _shots(result, chosen, detail)
    advice = advise(replace(result, detail=shown_result.detail))
    return FileView(
        result=shown_result,
        name=Path(shown_result.file).name or shown_result.file,
        advice=advice,
        limits=limits,
        scale=draw_scale(result, limits),
        rows=[
            _row_view(row, result, limits, end_s, part, detail)
            for row, part in zip(shown, shots[: len(shown)], strict=True)
        ],
        hidden_rows=len(rows) - len(shown),
        overview=[] if shown else [shot for part in shots for shot in part],
        no_images=no_images,
        detail=detail,
    )


def _row_view(
    row: Row,
    result: CheckResult,
    limits: Tolerance,
    end_s: float,
    shots: list[Shot],
    detail: Detail,
) -> RowView:
    heat_map = draw_heat_map(row.tracks, end_s, detail.grain)
    ticks = []
    if heat_map is not None:
        low, high = heat_map.low_ms, heat_map.high_ms
        levels = multiples(low, high, step_ms(high - low, 5))
        ticks = [Tick(100 * (high - ms) / (high - low), signed_ms(ms, 0)) for ms in levels]
    return RowView(
        title=_title(row),
        summary=_summary(row, limits, moved=moving(result) is None),
        row=row,
        timeline=draw_timeline(row, result, limits, end_s, detail.marks),
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


def _summary(row: Row, limits: Tolerance, *, moved: bool) -> str:
    """Return what the timeline shows, in words and numbers; `moved`: also how it moves, which no fault
    tells.
    """
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
    if moved and abs(row.drift_ms) > FRAME_MS:
        by = signed_ms(row.drift_ms, 0)
        words += f" From the first third to the last, the offset moves by {by} ms."
    return words


def _shots(
    result: CheckResult, chosen: list[list[Moment]], detail: Detail
) -> tuple[list[list[Shot]], str]:
    """Images for the chosen moments of every row, and why there are none or not all."""
    none: list[list[Shot]] = [[] for _ in chosen]
    wanted = [moment for part in chosen for moment in part]
    if not wanted:
        return none, ""
    if not Path(result.file).is_file():
        return none, f"{NO_PICTURES}: the file was not found when this page was written."
    try:
        images = iter(read_images(result.file, wanted, detail.budget_s))
    except UnreadableMedia as error:
        return none, f"{NO_PICTURES}: {printable(str(error))}."
    # The worst first, for where not all can be had.
    played = sorted((m for m in wanted if m.box is not None), key=lambda m: m.note != WORST)
    played = played[: detail.clips]
    clips = dict(zip(played, read_clips(result.file, played, detail.budget_s), strict=True))
    shots = [[_shot(m, next(images), clips.get(m, "")) for m in part] for part in chosen]
    found = [[shot for shot in part if shot is not None] for part in shots]
    missing = len(wanted) - sum(map(len, found))
    note = f"{missing} of {len(wanted)} images could not be read in time." if missing else ""
    return found, note


def _shot(moment: Moment, image: Picture | None, clip: str) -> Shot | None:
    if image is None:
        return None
    point = moment.point
    words = "" if point is None or point.offset_ms is None else describe_offset(point.offset_ms)
    return Shot(moment, image, words, _wave(image.loudness), clip)


def _wave(loudness: np.ndarray | None) -> str:
    """Return the outline of the loudness as a path in a box of BARS by 2, quiet = a line in the middle."""
    if loudness is None:
        return ""
    heights = np.maximum(0.04, loudness)
    upper = [f"{k},{1 - height:.2f}" for k, height in enumerate(heights)]
    lower = [f"{k},{1 + height:.2f}" for k, height in reversed(list(enumerate(heights)))]
    return "M" + "L".join(upper + lower) + "Z"
