"""View model of a result: the texts, drawings and images that the template shows."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.media.container import UnreadableMedia
from avsync.pipelines.check.messages import describe_judge, describe_outcome, printable
from avsync.report.axes import AxisTick, clock, multiples, signed_ms, step_ms
from avsync.report.fault_text import moving_fault
from avsync.report.heat_map import COARSE, FINE, Grain, HeatMap, draw_heat_map
from avsync.report.mouth_landmarks import mouth_finder
from avsync.report.preview_clips import read_clips
from avsync.report.thumbnails import (
    WORST,
    Moment,
    Thumbnail,
    choose_moments,
    read_images,
    source_of,
    spread,
)
from avsync.report.timeline import MARKS, Scale, Timeline, draw_scale, draw_timeline
from avsync.report.track_rows import TrackRow, group_tracks
from avsync.report.verdict_text import Advice, advise, in_words
from avsync.scoring.result import CheckResult, Coverage
from avsync.timing import FRAME_MS, Tolerance, describe_offset, tolerance

# Coverage is mentioned if less than this share of the video supports the result.
MOST_SUPPORTS = 0.8
NO_IMAGES = "Images are left out"


class Detail(NamedTuple):
    """Level of detail of a file's view.

    Args:
        rows: most rows of faces drawn; the most confident are, the others are counted.
        marks: most marks of a timeline.
        grain: resolution of the heat map.
        moments: number of thumbnails; with 0 the file is not opened again.
        clips: number of thumbnails that are preview clips.
        budget_s: seconds for the thumbnails, and again for the clips.
        faces: most rows of the table of faces: a video has thousands of shots with new tracks.
        numbers: whether the timeline is given as a table too.
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


class Snapshot(NamedTuple):
    """A thumbnail with its caption and loudness outline; `clip` is a video data URI, or empty."""

    moment: Moment
    image: Thumbnail
    words: str
    wave: str
    clip: str


class RowView(NamedTuple):
    """View of one row of faces."""

    title: str
    summary: str
    row: TrackRow
    timeline: Timeline
    heat_map: HeatMap | None
    heat_ticks: list[AxisTick]
    shots: list[Snapshot]


class StreamView(NamedTuple):
    """Line of the table of audio streams; `judge` marks the one by which the file is judged."""

    name: str
    kind: str
    outcome: str
    judge: bool


class FileView(NamedTuple):
    """View of one file; `streams` is empty where the file has a single audio stream."""

    result: CheckResult
    name: str
    advice: Advice
    limits: Tolerance
    scale: Scale | None
    rows: list[RowView]
    hidden_rows: int
    overview: list[Snapshot]
    no_images: str
    detail: Detail
    judge: str
    streams: list[StreamView]
    coverage: str


def view_of(result: CheckResult, detail: Detail = FULL) -> FileView:
    """Build the view of one result, with images from its file if it still exists."""
    limits = tolerance(result.profile)
    # For display; images and the command line use the true name.
    shown_result = replace(result, file=printable(result.file), detail=printable(result.detail))
    end_s = max([result.duration_s or 0.0, *(track.end_s for track in result.tracks)])
    rows = group_tracks(result.tracks)
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
        judge=printable(describe_judge(result)),
        streams=_stream_views(result),
        coverage=_coverage_words(result.coverage),
    )


def _coverage_words(coverage: Coverage | None) -> str:
    """Say how much of the video supports the result, where a good part of it does not."""
    if coverage is None:
        return ""
    total_s = max(sum(coverage), 1e-9)
    if coverage.supports_s >= MOST_SUPPORTS * total_s:
        return ""
    against = f", {clock(coverage.against_s)} speak against it" if coverage.against_s >= 1 else ""
    return (
        f"{clock(coverage.supports_s)} of {clock(total_s)} support this result{against}; "
        "the rest says nothing: no face, no speech, or speech of someone else."
    )


def _stream_views(result: CheckResult) -> list[StreamView]:
    if len(result.streams) < 2:
        return []
    return [
        StreamView(
            printable(stream.name),
            f"{stream.codec}, {stream.layout or f'{stream.channels} channels'}",
            printable(describe_outcome(stream, result.profile)),
            stream.audio == result.audio,
        )
        for stream in result.streams
    ]


def _row_view(
    row: TrackRow,
    result: CheckResult,
    limits: Tolerance,
    end_s: float,
    shots: list[Snapshot],
    detail: Detail,
) -> RowView:
    heat_map = draw_heat_map(row.tracks, end_s, detail.grain)
    ticks = []
    if heat_map is not None:
        low, high = heat_map.low_ms, heat_map.high_ms
        levels = multiples(low, high, step_ms(high - low, 5))
        ticks = [AxisTick(100 * (high - ms) / (high - low), signed_ms(ms, 0)) for ms in levels]
    return RowView(
        title=_title(row),
        summary=_summary(row, limits, moved=moving_fault(result) is None),
        row=row,
        timeline=draw_timeline(row, result, limits, end_s, detail.marks),
        heat_map=heat_map,
        heat_ticks=ticks,
        shots=shots,
    )


def _title(row: TrackRow) -> str:
    first, last = row.tracks[0], row.tracks[-1]
    when = f"{clock(first.start_s)} to {clock(last.end_s)}"
    if len(row.tracks) == 1:
        return f"Face {first.track}, {when}"
    return f"{len(row.tracks)} faces, one after another, {when}"


def _summary(row: TrackRow, limits: Tolerance, *, moved: bool) -> str:
    """Summarise the timeline in a sentence or two.

    Args:
        moved: also report a change from the first to the last third, if no fault describes it.
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
) -> tuple[list[list[Snapshot]], str]:
    """Return the snapshots of every row, and why there are none or not all."""
    none: list[list[Snapshot]] = [[] for _ in chosen]
    wanted = [moment for part in chosen for moment in part]
    if not wanted:
        return none, ""
    if not Path(result.file).is_file():
        return none, f"{NO_IMAGES}: the file was not found when this page was written."
    try:
        source = source_of(result)
        images = iter(read_images(source, wanted, detail.budget_s, mouth_finder(result.model)))
    except UnreadableMedia as error:
        return none, f"{NO_IMAGES}: {printable(str(error))}."
    # The worst first, in case the budget is not enough for all.
    played = sorted((m for m in wanted if m.box is not None), key=lambda m: m.note != WORST)
    played = played[: detail.clips]
    clips = dict(zip(played, read_clips(source, played, detail.budget_s), strict=True))
    shots = [[_shot(m, next(images), clips.get(m, "")) for m in part] for part in chosen]
    found = [[shot for shot in part if shot is not None] for part in shots]
    missing = len(wanted) - sum(map(len, found))
    note = f"{missing} of {len(wanted)} images could not be read in time." if missing else ""
    return found, note


def _shot(moment: Moment, image: Thumbnail | None, clip: str) -> Snapshot | None:
    if image is None:
        return None
    point = moment.point
    words = "" if point is None or point.offset_ms is None else describe_offset(point.offset_ms)
    return Snapshot(moment, image, words, _wave(image.loudness), clip)


def _wave(loudness: np.ndarray | None) -> str:
    """Return the loudness outline as an SVG path in a box of BARS by 2; silence is a flat line."""
    if loudness is None:
        return ""
    heights = np.maximum(0.04, loudness)
    upper = [f"{k},{1 - height:.2f}" for k, height in enumerate(heights)]
    lower = [f"{k},{1 + height:.2f}" for k, height in reversed(list(enumerate(heights)))]
    return "M" + "L".join(upper + lower) + "Z"
