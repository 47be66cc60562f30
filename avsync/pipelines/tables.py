"""The results of a check as files that other programs read: JSON and CSV."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from avsync.atomic import write_text
from avsync.scoring.result import CheckResult, to_json

COLUMNS = (
    "file",
    "status",
    "reason",
    "detail",
    "verdict",
    "borderline",
    "offset_ms",
    "interval_low_ms",
    "interval_high_ms",
    "confidence",
    "duration_s",
    "fault",
    "drift_ppm",
    "out_s",
    "worst_t_s",
    "worst_ms",
    "model",
    "profile",
    "search_s",
)

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def json_text(results: Sequence[CheckResult]) -> str:
    """The results as ASCII JSON, schema 1 of docs/concepts/json.md; any file name survives."""
    return json.dumps(to_json(list(results)), indent=2, allow_nan=False) + "\n"


def csv_text(results: Sequence[CheckResult]) -> str:
    """The results as a table with a header, one row per file; what is not known is empty."""
    document = to_json(list(results))
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for file in document["files"]:
        low, high = file["interval_ms"] or (None, None)
        fault = file["fault"] or {}
        writer.writerow(
            {
                **document,
                **fault,
                **file,
                "file": _no_formula(file["file"], "./"),
                "detail": _no_formula(file["detail"], "'"),
                "interval_low_ms": low,
                "interval_high_ms": high,
                "fault": fault.get("kind"),
            }
        )
    return table.getvalue()


def _no_formula(text: str, before: str) -> str:
    """Text that a spreadsheet does not run: `./=1+1.mp4` is still the same file."""
    return before + text if text.startswith(FORMULA) else text


def write_json(results: Sequence[CheckResult], path: str | Path) -> None:
    """Writes `json_text` to `path`, whole or not at all."""
    write_text(path, json_text(results))


def write_csv(results: Sequence[CheckResult], path: str | Path) -> None:
    """Writes `csv_text` to `path`, whole or not at all."""
    write_text(path, csv_text(results))
