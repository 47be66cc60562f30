"""Write the scores of talking faces: as text, CSV, JSON, and as a table for LaTeX."""

import csv
import io
import json
from pathlib import Path
from typing import NamedTuple

from avsync.escaping import csv_cell
from avsync.outputs import JSON_OUTPUT, OutputKind, csv_kind, write_output
from avsync.pipelines.check.messages import UNREADABLE, printable
from avsync.pipelines.evaluate.talking_scores import ClipScores, Mean, ScoreTable

SCHEMA = 1
LATEX_HEAD = "% Scores of avsync"
SCORES_CSV = csv_kind("a table of avsync score", "clip", "true", "status", "misalignment_ms")
SCORES_LATEX = OutputKind(
    "a LaTeX table of avsync score", lambda head: head.startswith(LATEX_HEAD.encode())
)


class Column(NamedTuple):
    """How a score is shown: title, unit, decimals, factor, and which direction is better."""

    title: str
    unit: str = ""
    digits: int = 3
    factor: float = 1.0
    better: str = ""


COLUMNS = {
    "offset_ms": Column("offset", "ms", 1),
    "confidence": Column("confidence", "", 2),
    "misalignment_ms": Column("misalignment", "ms", 1, better="down"),
    "out_share": Column("out of tolerance", "%", 1, 100.0, "down"),
    "lse_d": Column("LSE-D", better="down"),
    "lse_c": Column("LSE-C", better="up"),
    "pri": Column("PRI", better="down"),
    "psnr": Column("PSNR", "dB", 2, better="up"),
    "ssim": Column("SSIM", better="up"),
}
ARROWS = {"": "", "down": r" $\downarrow$", "up": r" $\uparrow$"}


def score_text(table: ScoreTable) -> str:
    """Format the means and what is missing as plain text."""
    groups = {"clips": table.means(), "references": table.means(true=True)}
    groups = {head: means for head, means in groups.items() if means or head == "clips"}
    count = sum(not row.true for row in table.rows)
    offsets = sum(row.offset_ms is not None for row in table.rows if not row.true)
    lines = [f"{count} clips, {offsets} with an offset; mean and 95 % interval over clips"]
    lines.append(f"{'':<22}" + "".join(f"{head:<28}" for head in groups))
    for name, column in COLUMNS.items():
        if any(name in means for means in groups.values()):
            cells = [_cell(means.get(name), column) for means in groups.values()]
            title = f"{column.title}, {column.unit}" if column.unit else column.title
            lines.append(f"{title:<22}" + "".join(f"{cell:<28}" for cell in cells))
    lines.append(
        f"offsets by {table.model}, tolerance {table.profile}; LSE and PRI by {table.sync}"
    )
    if table.sync != "syncnet":
        lines.append("LSE as published is that of syncnet only: this one is not comparable")
    named = [f"{_name(row)}: {row.detail}" for row in table.rows if row.detail]
    return "\n".join(line.rstrip() for line in [*lines, *map(printable, named)])


def score_csv(table: ScoreTable) -> str:
    """Return a row per clip, with the fields of `ClipScores` and the models as columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ClipScores._fields, "model", "sync", "profile"])
    for row in table.rows:
        cells = [*row, table.model, table.sync, table.profile]
        writer.writerow(["" if cell is None else csv_cell(cell) for cell in cells])
    return text.getvalue()


def score_json(table: ScoreTable) -> str:
    """Return clips and means as JSON, null where a score is not known."""
    document = {
        "schema": SCHEMA,
        "scores": {"model": table.model, "sync": table.sync, "profile": table.profile},
        "means": {
            "clips": {name: mean._asdict() for name, mean in table.means().items()},
            "references": {name: mean._asdict() for name, mean in table.means(true=True).items()},
        },
        "clips": [row._asdict() for row in table.rows],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def score_latex(table: ScoreTable) -> str:
    """Return the means as a `tabular` for LaTeX, with the half-widths of their intervals."""
    groups = {"clips": table.means(), "references": table.means(true=True)}
    names = [name for name in COLUMNS if any(name in means for means in groups.values())]
    heads = [
        f"{c.title}{f' ({c.unit})' if c.unit else ''}{ARROWS[c.better]}".replace("%", r"\%")
        for c in (COLUMNS[name] for name in names)
    ]
    sync = table.sync.replace("_", r"\_")
    model = table.model.replace("_", r"\_")
    lines = [
        f"{LATEX_HEAD}: offsets by {table.model}, tolerance {table.profile};",
        f"% LSE and PRI by {table.sync}. Means and half of their 95 % bootstrap intervals.",
        r"\begin{tabular}{l" + "r" * len(names) + "}",
        r"\hline",
        " & ".join(["", *heads]) + r" \\",
        r"\hline",
    ]
    for group, means in groups.items():
        if means:
            cells = [_latex_cell(means.get(name), COLUMNS[name]) for name in names]
            lines.append(" & ".join([group, *cells]) + r" \\")
    lines += [
        r"\hline",
        rf"\multicolumn{{{len(names) + 1}}}{{l}}{{offsets: {model}; LSE, PRI: {sync}}} \\",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def write_scores(
    table: ScoreTable,
    *,
    csv: Path | None = None,
    json: Path | None = None,
    latex: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write the table in each format that has a path."""
    if csv is not None:
        write_output(csv, score_csv(table), SCORES_CSV, overwrite=overwrite)
    if json is not None:
        write_output(json, score_json(table), JSON_OUTPUT, overwrite=overwrite)
    if latex is not None:
        write_output(latex, score_latex(table), SCORES_LATEX, overwrite=overwrite)


def score_exit_code(table: ScoreTable) -> int:
    """Return 12 if a video could not be read or does not match its reference, else 0."""
    judged = (row.lse_d is not None or row.pri is not None for row in table.rows if row.detail)
    unreadable = any(row.status == "unreadable" for row in table.rows)
    return UNREADABLE if unreadable or not all(judged) else 0


def _name(row: ClipScores) -> str:
    return f"{row.clip} (reference)" if row.true else row.clip


def _cell(mean: Mean | None, column: Column) -> str:
    if mean is None:
        return "-"
    value, low, high = (f"{column.factor * x:.{column.digits}f}" for x in mean[:3])
    return f"{value} ({low} to {high})"


def _latex_cell(mean: Mean | None, column: Column) -> str:
    if mean is None:
        return "--"
    half = column.factor * (mean.high - mean.low) / 2
    return rf"${column.factor * mean.mean:.{column.digits}f} \pm {half:.{column.digits}f}$"
