"""Export the results of a check as JSON and CSV, rank them by severity, and summarise a batch."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from avsync.escaping import csv_cell
from avsync.outputs import JSON_OUTPUT, csv_kind, write_output
from avsync.pipelines.check.messages import describe_result
from avsync.scoring.result import CheckResult
from avsync.scoring.result_json import to_json
from avsync.timing import Tolerance, tolerance

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
    "zero_uncertainty_ms",
    "source_spread_ms",
    "absolute_borderline",
    "confidence",
    "duration_s",
    "video",
    "audio",
    "channel",
    "fault",
    "drift_ppm",
    "out_s",
    "worst_t_s",
    "worst_ms",
    "model",
    "profile",
    "search_s",
)

# By these an earlier output is recognised, which may be replaced.
CSV_RESULTS = csv_kind("the table of an avsync check", "file", "status", "verdict", "offset_ms")

# Names of verdicts in the summary. A fault over time is named instead of its verdict.
VERDICTS = {"audio_leads": "audio leads", "audio_lags": "audio lags"}
MOVING = ("drift", "jumps", "intermittent")
# Lower limits of `severity`; in tolerance is 0.
BORDERLINE, CANNOT_TELL, UNREADABLE, OUT = (1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0)


def json_text(results: Sequence[CheckResult]) -> str:
    """Return the results as ASCII JSON, schema 2 of docs/concepts/json.md."""
    return json.dumps(to_json(list(results)), indent=2, allow_nan=False) + "\n"


def csv_text(results: Sequence[CheckResult]) -> str:
    """Return the results as a table with a header, one row per file; unknown cells are empty."""
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
                "file": csv_cell(file["file"], "./"),
                "detail": csv_cell(file["detail"]),
                "interval_low_ms": low,
                "interval_high_ms": high,
                "fault": fault.get("kind"),
            }
        )
    return table.getvalue()


def write_json(
    results: Sequence[CheckResult], path: str | Path, *, overwrite: bool = False
) -> None:
    """Write `json_text` to `path` atomically.

    Args:
        results: results of `check`.
        path: the file; an earlier one with results of `check` is replaced.
        overwrite: replace any other file too, but none of the checked ones.

    Raises:
        OSError: the path may not be replaced.
        ValueError: it is one of the checked files.
    """
    inputs = [result.file for result in results]
    write_output(path, json_text(results), JSON_OUTPUT, inputs, overwrite=overwrite)


def write_csv(results: Sequence[CheckResult], path: str | Path, *, overwrite: bool = False) -> None:
    """Write `csv_text` to `path` atomically, under the conditions of `write_json`."""
    inputs = [result.file for result in results]
    write_output(path, csv_text(results), CSV_RESULTS, inputs, overwrite=overwrite)


def summarize(results: Sequence[CheckResult], worst: int = 5) -> list[str]:
    """Return lines of text: counts by verdict and reason, then the `worst` files by severity.

    Files in tolerance are not listed, unless they are borderline.
    """
    lines = [f"{len(results)} files"]
    lines += [f"  {len(group)} {words}{details}" for group, words, details in _groups(results)]
    bad = [result for result in worst_first(results) if severity(result) >= BORDERLINE][:worst]
    if bad:
        lines += ["the worst first" if len(bad) > 1 else "the worst"]
        lines += [f"  {describe_result(result)}" for result in bad]
    return lines


def worst_first(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Sort by severity: out of tolerance, unreadable, cannot tell, borderline, in tolerance."""
    return sorted(results, key=severity, reverse=True)


def severity(result: CheckResult) -> tuple[int, float]:
    """Return a key that is larger for worse results; its second number is `tolerance_share`."""
    if result.status == "unreadable":
        return UNREADABLE
    if result.offset_ms is None:
        return CANNOT_TELL
    limits = tolerance(result.profile)
    used = tolerance_share(result.offset_ms, limits)
    if result.fault is not None and result.fault.worst_ms is not None:
        used = max(used, tolerance_share(result.fault.worst_ms, limits))
    if result.verdict != "in_sync":
        return OUT[0], used
    return (BORDERLINE[0] if result.borderline or used > 1 else 0), used


def tolerance_share(offset_ms: float, limits: Tolerance) -> float:
    """Return an offset as a share of the tolerance on its side; 1 is the limit."""
    return max(offset_ms / limits.early_ms, -offset_ms / limits.late_ms)


def _groups(
    results: Sequence[CheckResult],
) -> Iterable[tuple[list[CheckResult], str, str]]:
    """Yield the files of each kind, its name, and details."""
    decided = [result for result in results if result.status == "ok"]
    bad = [result for result in decided if severity(result) >= OUT]
    good = [result for result in decided if severity(result) < OUT]
    if good:
        unsure = sum(result.borderline for result in good)
        yield good, "in tolerance", f", {unsure} of them borderline" if unsure else ""
    if bad:
        yield bad, "out of tolerance", _counted(map(_kind, bad))
    for status, words in (("cannot_tell", "cannot tell"), ("unreadable", "unreadable")):
        group = [result for result in results if result.status == status]
        if group:
            yield group, words, _counted((r.reason or "no reason").replace("_", " ") for r in group)


def _kind(result: CheckResult) -> str:
    if result.fault is not None and result.fault.kind in MOVING:
        return result.fault.kind
    return VERDICTS[str(result.verdict)]


def _counted(words: Iterable[str]) -> str:
    return ": " + ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())
