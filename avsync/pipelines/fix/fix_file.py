"""A video in, the same video with its voice on the lips out, measured before and after."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from avsync.faces.detector import FaceDetector
from avsync.media.writers.atomic_output import atomic_output, check_destination
from avsync.pipelines.check.check_file import check
from avsync.pipelines.fix.plan import (
    MIN_CONFIDENCE,
    Repair,
    complete_repair,
    plan_repair,
    repair_doubt,
    worst_ms,
    write_repaired,
)
from avsync.pipelines.progress import ProgressCallback
from avsync.scoring.engine import SyncModel
from avsync.scoring.result import CheckResult
from avsync.timing import DEFAULT_PROFILE

# A repaired file that measures worse than before by no more than this, and in tolerance, is kept.
NOISE_MS = 20.0

Measure = Callable[[Path, ProgressCallback | None], CheckResult]


class FixRefused(RuntimeError):
    """A file that is left as it is; `str(error)` says why, `before` is what was measured.

    `after` is what was measured of a repaired file that was not kept, else None.
    """

    def __init__(self, cause: str, before: CheckResult, after: CheckResult | None = None) -> None:
        super().__init__(cause)
        self.before, self.after = before, after


@dataclass(frozen=True)
class FixResult:
    """What was measured before and after, and what was done in between.

    `shift_ms` is by how much the audio was moved, + = later: at the beginning, where that changes
    over the file; `repair` tells all of it. `after` is None where nothing was written.
    """

    before: CheckResult
    after: CheckResult | None
    shift_ms: float
    output: Path
    repair: Repair


def fix(
    path: str | Path,
    output: str | Path,
    *,
    model: str | SyncModel = "dense_sync",
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | FaceDetector | None = None,
    min_confidence: float | None = None,
    force: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    measure: Measure | None = None,
) -> FixResult:
    """Write `output`: `path` with its audio moved onto the lips.

    An offset that is the same all along is repaired without re-encoding; for a drift the audio is
    resampled, for jumps it is moved piece by piece, and encoded as it was. The result is measured
    before it takes its place. FixRefused where there is no offset to go by, or, unless forced,
    where it is unsure, comes and goes, or is no smaller afterwards. The input is never written to.
    A file in tolerance is moved as well, by the little that it is off.

    Args:
        path: a video.
        output: the corrected file; its extension names the container.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one.
        profile: as in `check`; `search_s` and `detector` too.
        min_confidence: refuse below this, 0.8 where None.
        force: write even so, by what was measured.
        dry_run: measure and decide, and write nothing.
        overwrite: replace an existing output, which else is a FileExistsError.
        progress: told the share done, 0 to 1.
        measure: measures a file, given its path and whom to tell the share done; `check` of `model`
            where None.
    """
    source, target = Path(path), Path(output)
    threshold = MIN_CONFIDENCE if min_confidence is None else min_confidence
    if not 0 <= threshold <= 1:
        raise ValueError(f"min_confidence must lie in [0, 1], got {min_confidence}")
    check_destination(source, target, overwrite=overwrite)

    def check_file(file: Path, report: ProgressCallback | None) -> CheckResult:
        if measure is not None:
            return measure(file, report)
        return check(
            file,
            model=model,
            weights=weights,
            profile=profile,
            search_s=search_s,
            detector=detector,
            progress=report,
        )

    before = check_file(source, _part(progress, 0.0, 1.0 if dry_run else 0.5))
    if before.status != "ok" or before.offset_ms is None:
        raise FixRefused(_no_offset(before), before)
    cause = repair_doubt(before, threshold)
    if cause is not None and not force:
        raise FixRefused(f"{cause}; nothing was written (force writes even so)", before)
    repair = complete_repair(source, target, plan_repair(before))
    shift_ms = repair.pieces[0].offset_ms
    if dry_run:
        return FixResult(before, None, shift_ms, target, repair)
    with atomic_output(target) as partial:
        write_repaired(source, partial, target, repair)
        measured = check_file(partial, _part(progress, 0.5, 1.0))
        after = replace(measured, file=str(target))
        cause = _no_better(before, after)
        if cause is not None and not force:
            raise FixRefused(f"{cause}; it was not kept (force keeps even so)", before, after)
    return FixResult(before, after, shift_ms, target, repair)


def _no_better(before: CheckResult, after: CheckResult) -> str | None:
    """Why a repaired file is not worth keeping, None if it is."""
    if after.status != "ok":
        cause = after.detail or (after.reason or "no reason is known").replace("_", " ")
        return f"the repaired file cannot be measured again: {cause}"
    was_ms, is_ms = worst_ms(before), worst_ms(after)
    if is_ms > was_ms and (after.verdict != "in_sync" or is_ms > was_ms + NOISE_MS):
        return f"the repaired file would be off by {is_ms:.0f} ms, and was by {was_ms:.0f} ms"
    return None


def _no_offset(result: CheckResult) -> str:
    cause = result.detail or (result.reason or "no reason is known").replace("_", " ")
    what = "the file cannot be read" if result.status == "unreadable" else "no offset was found"
    return f"{what}: {cause}; nothing was written"


def _part(progress: ProgressCallback | None, start: float, end: float) -> ProgressCallback | None:
    if progress is None:
        return None
    tell = progress
    return lambda share: tell(start + (end - start) * share)
