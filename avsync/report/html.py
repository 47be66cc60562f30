"""The report as one HTML file."""

import os
from datetime import UTC, datetime
from functools import cache

import jinja2

from avsync.atomic import write_text
from avsync.pipelines.check.export import BORDERLINE, severity
from avsync.pipelines.check.messages import printable
from avsync.report.axes import clock, signed_ms
from avsync.report.fault_text import MOVING
from avsync.report.heat_map import viridis
from avsync.report.thumbnails import BARS
from avsync.report.verdict_text import REASONS, SIGNS, in_words, limits_in_words, tone_of
from avsync.report.view_model import BARE, FULL, SMALL, SMALLEST, FileView, view_of
from avsync.scoring.result import CheckResult
from avsync.timing import FRAME_MS

# A few files are shown in full, one below the other; of more, each is a row that opens.
FEW = 4
# Of many files so many of the worst have images and clips, and so many have drawings.
PICTURED = 24
DRAWN = 300
# More jumps than this would be a fence.
MOST_JUMPS = 60
# More faces than this are folded.
FOLDED_ROWS = 12


def write_report(
    results: CheckResult | list[CheckResult] | tuple[CheckResult, ...], path: str | os.PathLike[str]
) -> None:
    """Write one or more results as one HTML file that needs nothing but itself.

    It is written whole or not at all. Images are read from the checked files where those
    still are.
    """
    results = [results] if isinstance(results, CheckResult) else list(results)
    if not results:
        raise ValueError("results must hold at least one CheckResult, got an empty list")
    page = environment().get_template("page.html.j2")
    write_text(os.fspath(path), page.render(views=_views(results), written=datetime.now(UTC)))


def _views(results: list[CheckResult]) -> list[FileView]:
    """Of one file everything, of many the worst first and the less the better they are."""
    if len(results) == 1:
        return [view_of(results[0])]
    names = _short_names([printable(result.file) for result in results])
    order = sorted(range(len(results)), key=lambda k: severity(results[k]), reverse=True)
    views = []
    for place, number in enumerate(order):
        result = results[number]
        wanted = place < PICTURED and severity(result) >= BORDERLINE
        many = SMALL if wanted else SMALLEST if place < DRAWN else BARE
        view = view_of(result, FULL if len(results) <= FEW else many)
        views.append(view._replace(name=names[number]))
    return views


def _short_names(files: list[str]) -> list[str]:
    """Return the names without the folder that they share."""
    try:
        folder = os.path.commonpath([os.path.dirname(file) for file in files])
    except ValueError:  # Some are absolute and some are not.
        return files
    return [file[len(folder) :].lstrip("/\\") for file in files]


@cache
def environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("avsync.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        signed=signed_ms,
        clock=clock,
        sure=_sure,
        in_words=in_words,
        limits=limits_in_words,
        tone=tone_of,
    )
    environment.globals.update(
        SIGNS=SIGNS,
        REASONS=REASONS,
        BARS=BARS,
        FRAME_MS=FRAME_MS,
        FEW=FEW,
        FOLDED_ROWS=FOLDED_ROWS,
        MOST_JUMPS=MOST_JUMPS,
        MOVING=MOVING,
        ramp=["#{:02x}{:02x}{:02x}".format(*colour) for colour in viridis(9)],
    )
    return environment


def _sure(confidence: float) -> str:
    """As the command prints it, so that the two can be compared."""
    return f"{confidence:.2f}"
