"""A video in, the same video with its voice on the lips out, measured before and after."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from avsync.media.faces import FaceDetector
from avsync.media.remux import refuse_destination, shift_audio
from avsync.pipelines.check import Report, check
from avsync.scoring.result import CheckResult, TimelinePoint
from avsync.timing import DEFAULT_PROFILE

MIN_CONFIDENCE = 0.8
# A moment further than this from the whole file's offset is not repaired by the same shift.
CONSTANT_MS = 80.0
# So much of the timeline, weighted by confidence, may lie off: single moments are misjudged.
MAX_SHARE_OFF = 0.2
# A stretch off to one side for this long is no misjudged moment, however long the file.
MAX_STRETCH_S = 6.0

Measure = Callable[[Path, Report | None], CheckResult]


class FixRefused(RuntimeError):
    """A file that is left as it is; `str(error)` says why, `before` is what was measured."""

    def __init__(self, cause: str, before: CheckResult) -> None:
        super().__init__(cause)
        self.before = before


@dataclass(frozen=True)
class FixResult:
    """What was measured before and after, and by how much the sound was moved, + = later.

    `after` is None where nothing was written.
    """

    before: CheckResult
    after: CheckResult | None
    shift_ms: float
    output: Path


def fix(
    path: str | Path,
    output: str | Path,
    *,
    model: str = "dense_sync",
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | FaceDetector | None = None,
    min_confidence: float | None = None,
    force: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
    progress: Report | None = None,
    measure: Measure | None = None,
) -> FixResult:
    """Writes `output`: `path` with its sound moved onto the lips, without re-encoding.

    FixRefused where there is no offset to go by, or, unless forced, where it is unsure or not the
    same all along the file. The input is never written to. A file in tolerance is moved as well,
    by the little that it is off.

    Args:
        path: a video.
        output: the corrected file; its extension names the container.
        model: a sync model, as in `check`; `weights`, `profile`, `search_s` and `detector` too.
        min_confidence: refuse below this, 0.8 where None.
        force: write even where the offset is unsure or changes.
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
    refuse_destination(source, target, overwrite=overwrite)

    def check_file(file: Path, report: Report | None) -> CheckResult:
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
    cause = doubt(before, threshold)
    if cause is not None and not force:
        raise FixRefused(f"{cause}; nothing was written (force writes even so)", before)
    # Sound that leads by so many ms has to come so many ms later.
    shift_ms = before.offset_ms
    if dry_run:
        return FixResult(before, None, shift_ms, target)
    shift_audio(source, target, shift_ms, overwrite=overwrite)
    after = check_file(target, _part(progress, 0.5, 1.0))
    return FixResult(before, after, shift_ms, target)


def doubt(result: CheckResult, min_confidence: float = MIN_CONFIDENCE) -> str | None:
    """Why one shift should not repair a measured offset, in plain words; None if it may."""
    if result.offset_ms is None:
        raise ValueError("result must have an offset, got offset_ms None")
    if result.confidence < min_confidence:
        reached = f"a confidence of {result.confidence:.2f}, below {min_confidence:.2f}"
        return f"the offset is known with {reached}"
    for track in result.tracks:
        points = [point for point in track.timeline if point.offset_ms is not None]
        if track.status == "ok" and (moment := _changes(points, result.offset_ms)) is not None:
            return (
                f"the offset is not the same all along: {result.offset_ms:+.0f} ms on the whole, "
                f"{moment.offset_ms:+.0f} ms at {moment.t_s:.0f} s"
            )
    return None


def _changes(points: list[TimelinePoint], offset_ms: float) -> TimelinePoint | None:
    """A moment of a stretch that one shift would not repair, if there is one."""

    def side(point: TimelinePoint) -> int:
        away_ms = (point.offset_ms or 0.0) - offset_ms
        return 0 if abs(away_ms) <= CONSTANT_MS else 1 if away_ms > 0 else -1

    runs = [(which, list(run)) for which, run in groupby(points, side)]
    off = [run for which, run in runs if which != 0]
    if not off:
        return None
    longest = max(off, key=lambda run: run[-1].t_s - run[0].t_s)
    weight_off = sum(point.confidence for run in off for point in run)
    share = weight_off / max(sum(point.confidence for point in points), 1e-9)
    lasts_s = longest[-1].t_s - longest[0].t_s
    if share > MAX_SHARE_OFF or lasts_s > MAX_STRETCH_S:
        return longest[len(longest) // 2]
    return None


def _no_offset(result: CheckResult) -> str:
    cause = result.detail or (result.reason or "no reason is known").replace("_", " ")
    what = "the file cannot be read" if result.status == "unreadable" else "no offset was found"
    return f"{what}: {cause}; nothing was written"


def _part(progress: Report | None, start: float, end: float) -> Report | None:
    if progress is None:
        return None
    tell = progress
    return lambda share: tell(start + (end - start) * share)
