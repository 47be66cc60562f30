"""The results of a check as files that other programs read: JSON and CSV."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from avsync.atomic import write_text
from avsync.pipelines.check.messages import sentence
from avsync.scoring.result import CheckResult, to_json
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
    """Return the results as ASCII JSON, schema 1 of docs/concepts/json.md."""
    return json.dumps(to_json(list(results)), indent=2, allow_nan=False) + "\n"


def csv_text(results: Sequence[CheckResult]) -> str:
    """Return the results as a table with a header, one row per file; what is not known is empty."""
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
    """Write `json_text` to `path`, whole or not at all."""
    write_text(path, json_text(results))


def write_csv(results: Sequence[CheckResult], path: str | Path) -> None:
    """Write `csv_text` to `path`, whole or not at all."""
    write_text(path, csv_text(results))


VERDICTS = {"audio_leads": "audio leads", "audio_lags": "audio lags"}
MOVING = {"drift": "drift", "jumps": "jumps", "intermittent": "now and then"}


def summarize(results: Sequence[CheckResult], worst: int = 5) -> list[str]:
    """Lines for a person: counts by verdict and reason, then the `worst` files, the worst first.

    Files in tolerance are none of the worst, unless they are borderline.
    """
    lines = [f"{len(results)} files"]
    lines += [f"  {len(part)} {words}{details}" for part, words, details in _parts(results)]
    bad = [result for result in worst_first(results) if severity(result) >= BORDERLINE][:worst]
    if bad:
        lines += ["the worst first" if len(bad) > 1 else "the worst"]
        lines += [f"  {sentence(result)}" for result in bad]
    return lines


def worst_first(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Out of tolerance by how far, then unreadable, cannot tell, borderline, and in tolerance."""
    return sorted(results, key=severity, reverse=True)


BORDERLINE, CANNOT_TELL, UNREADABLE, OUT = (1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0)


def severity(result: CheckResult) -> tuple[int, float]:
    """Return the larger the worse; the second number is how much of the tolerance is used up."""
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
    """Return how much of the tolerance an offset uses up; 1 is the limit."""
    return max(offset_ms / limits.early_ms, -offset_ms / limits.late_ms)


def _parts(
    results: Sequence[CheckResult],
) -> Iterable[tuple[list[CheckResult], str, str]]:
    """Return the files of each kind, what they are, and of what they consist."""
    told = [result for result in results if result.status == "ok"]
    bad = [result for result in told if severity(result) >= OUT]
    good = [result for result in told if severity(result) < OUT]
    if good:
        unsure = sum(result.borderline for result in good)
        yield good, "in tolerance", f", {unsure} of them borderline" if unsure else ""
    if bad:
        yield bad, "out of tolerance", _counted(map(_kind, bad))
    for status, words in (("cannot_tell", "cannot tell"), ("unreadable", "unreadable")):
        part = [result for result in results if result.status == status]
        if part:
            yield part, words, _counted((r.reason or "no reason").replace("_", " ") for r in part)


def _kind(result: CheckResult) -> str:
    if result.fault is not None and result.fault.kind in MOVING:
        return MOVING[result.fault.kind]
    return VERDICTS[str(result.verdict)]


def _counted(words: Iterable[str]) -> str:
    return ": " + ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())
