"""A batch at a glance: how many files of each kind, and the worst of them first."""

from collections import Counter
from collections.abc import Iterable, Sequence

from avsync.pipelines.words import sentence
from avsync.scoring.result import CheckResult
from avsync.timing import Tolerance, tolerance

VERDICTS = {"audio_leads": "audio leads", "audio_lags": "audio lags"}
MOVING = {"drift": "drift", "jumps": "jumps", "intermittent": "now and then"}


def summary(results: Sequence[CheckResult], worst: int = 5) -> list[str]:
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
    """The larger the worse; the second number is how much of the tolerance is used up."""
    if result.status == "unreadable":
        return UNREADABLE
    if result.offset_ms is None:
        return CANNOT_TELL
    limits = tolerance(result.profile)
    used = strain(result.offset_ms, limits)
    if result.fault is not None and result.fault.worst_ms is not None:
        used = max(used, strain(result.fault.worst_ms, limits))
    if result.verdict != "in_sync":
        return OUT[0], used
    return (BORDERLINE[0] if result.borderline or used > 1 else 0), used


def strain(offset_ms: float, limits: Tolerance) -> float:
    """How much of the tolerance an offset uses up; 1 is the limit."""
    return max(offset_ms / limits.early_ms, -offset_ms / limits.late_ms)


def _parts(
    results: Sequence[CheckResult],
) -> Iterable[tuple[list[CheckResult], str, str]]:
    """The files of each kind, what they are, and of what they consist."""
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
