"""The report as one HTML file."""

import os
from datetime import UTC, datetime
from functools import cache

import jinja2

from avsync.atomic import write_text
from avsync.pipelines.report.advice import SIGNS, in_words, limits_in_words, tone_of
from avsync.pipelines.report.axes import clock, signed_ms
from avsync.pipelines.report.heat_map import viridis
from avsync.pipelines.report.moments import BARS
from avsync.pipelines.report.views import view_of
from avsync.scoring.result import CheckResult
from avsync.timing import FRAME_MS

# A film has thousands of shots, and every one begins new faces.
TABLE_ROWS = 200
FOLDED_ROWS = 12


def write_report(
    results: CheckResult | list[CheckResult] | tuple[CheckResult, ...], path: str | os.PathLike[str]
) -> None:
    """Writes one or more results as one HTML file that needs nothing but itself.

    It is written whole or not at all. Pictures are read from the checked files where those
    still are.
    """
    results = [results] if isinstance(results, CheckResult) else list(results)
    if not results:
        raise ValueError("results must hold at least one CheckResult, got an empty list")
    views = [view_of(result) for result in results]
    page = _environment().get_template("page.html.j2")
    ramp = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in viridis(9)]
    write_text(os.fspath(path), page.render(views=views, written=datetime.now(UTC), ramp=ramp))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("avsync.pipelines.report", "."),
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
        BARS=BARS,
        FRAME_MS=FRAME_MS,
        TABLE_ROWS=TABLE_ROWS,
        FOLDED_ROWS=FOLDED_ROWS,
    )
    return environment


def _sure(confidence: float) -> str:
    """As the command prints it, so that the two can be compared."""
    return f"{confidence:.2f}"
