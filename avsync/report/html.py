"""Write the report of one or more checks as one self-contained HTML file."""

import os
from datetime import UTC, datetime
from functools import cache

import jinja2

from avsync.outputs import HTML_REPORT, check_output, write_output
from avsync.pipelines.check.export import BORDERLINE, severity
from avsync.pipelines.check.messages import printable
from avsync.report.axes import clock, signed_ms
from avsync.report.fault_text import MOVING
from avsync.report.heat_map import viridis
from avsync.report.thumbnails import BARS
from avsync.report.verdict_text import (
    REASONS,
    SIGNS,
    describe_zero,
    in_words,
    limits_in_words,
    tone_of,
)
from avsync.report.view_model import BARE, FULL, SMALL, SMALLEST, FileView, view_of
from avsync.scoring.result import CheckResult
from avsync.timing import FRAME_MS

# Up to this many files are shown in full; of more, each is a row that expands.
FEW = 4
# Of many files, this many of the worst have images and clips, and this many have drawings.
WITH_IMAGES = 24
WITH_DRAWINGS = 300
# More jumps than this are not drawn.
MOST_JUMPS = 60
# Tables of more faces than this are collapsed.
FOLDED_ROWS = 12


def write_report(
    results: CheckResult | list[CheckResult] | tuple[CheckResult, ...],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write a report of one or more results as one self-contained HTML file.

    The file is replaced atomically. Images are read from the checked files that still exist.

    Args:
        results: results of `avsync.check`.
        path: the HTML file; an earlier report is replaced.
        overwrite: replace any other file too, but none of the checked ones.

    Raises:
        ValueError: if there are no results, or the path is one of the checked files.
        OSError: if the path may not be replaced.
    """
    results = [results] if isinstance(results, CheckResult) else list(results)
    if not results:
        raise ValueError("results must hold at least one CheckResult, got an empty list")
    target, inputs = os.fspath(path), [result.file for result in results]
    check_output(target, HTML_REPORT, inputs, overwrite=overwrite)
    page = environment().get_template("page.html.j2")
    text = page.render(views=_views(results), written=datetime.now(UTC))
    write_output(target, text, HTML_REPORT, inputs, overwrite=overwrite)


def _views(results: list[CheckResult]) -> list[FileView]:
    """Build the views: of one file in full, of many the worst first and in most detail."""
    if len(results) == 1:
        return [view_of(results[0])]
    names = _short_names([printable(result.file) for result in results])
    order = sorted(range(len(results)), key=lambda k: severity(results[k]), reverse=True)
    views = []
    for rank, number in enumerate(order):
        result = results[number]
        wanted = rank < WITH_IMAGES and severity(result) >= BORDERLINE
        many = SMALL if wanted else SMALLEST if rank < WITH_DRAWINGS else BARE
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
    """Return the template environment with our filters."""
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
        zero=describe_zero,
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
    """Format a confidence as the command prints it."""
    return f"{confidence:.2f}"
