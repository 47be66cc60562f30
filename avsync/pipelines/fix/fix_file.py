"""Repair the audio-video offsets of one file, and check the result before it is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from avsync.faces.detector import FaceDetector
from avsync.media.probe import probe_media
from avsync.media.writers.atomic_output import atomic_output, check_destination
from avsync.pipelines.check.check_file import check
from avsync.pipelines.fix.file_plan import complete_repairs, plan_repairs, write_repaired
from avsync.pipelines.fix.plan import (
    MIN_CONFIDENCE,
    Repair,
    largest_offset_ms,
    repair_doubt,
)
from avsync.pipelines.progress import ProgressCallback
from avsync.scoring.embeddings import SyncModel
from avsync.scoring.result import CheckResult, StreamResult
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.timing import DEFAULT_PROFILE

# A repaired file in tolerance is kept even if its offset is larger than before by this at most.
NOISE_MS = 20.0

Measure = Callable[[Path, ProgressCallback | None], CheckResult]


class FixRefused(RuntimeError):
    """Raised if a file is not repaired; `str(error)` says why.

    Args:
        cause: why, in words.
        before: result of the check of the file.
        after: result for a repaired file that was not kept, else None.
    """

    def __init__(self, cause: str, before: CheckResult, after: CheckResult | None = None) -> None:
        super().__init__(cause)
        self.before, self.after = before, after


@dataclass(frozen=True)
class FixResult:
    """Result of a repair.

    Args:
        before: result of the check of the file.
        after: result for the repaired file; None if nothing was written.
        shift_ms: shift of the audio, positive = later; at the beginning, if it changes over the
            file.
        output: the repaired file.
        repair: the repair of the stream by which the file is judged.
        repairs: the repairs of all streams that are moved, by position among the audio streams.
    """

    before: CheckResult
    after: CheckResult | None
    shift_ms: float
    output: Path
    repair: Repair
    repairs: Mapping[int, Repair] = field(default_factory=dict)

    def describe(self) -> list[str]:
        """Describe what was done, or would be: one line, or one for each audio stream."""
        streams = {stream.audio: stream for stream in self.before.streams}
        would = self.after is None
        if len(streams) < 2:
            return [self.repair.describe(would=would)]
        lines = []
        for at, repair in self.repairs.items():
            name = streams[at].name if at in streams else f"audio {at}"
            lines.append(f"{name}: {repair.describe(would=would)}")
        kept = [stream for at, stream in streams.items() if at not in self.repairs]
        return [*lines, *(f"{stream.name}: {_kept_words(stream)}" for stream in kept)]


def fix(
    path: str | Path,
    output: str | Path,
    *,
    model: str | SyncModel = DEFAULT_SYNC_MODEL,
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | FaceDetector | None = None,
    audio: str | int | None = None,
    min_confidence: float | None = None,
    force: bool = False,
    allow_loss: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    measure: Measure | None = None,
) -> FixResult:
    """Write a copy of a video with its audio shifted into sync, and check it.

    Each audio stream is shifted by its own offset. One whose offset is not known stays as it is, as
    does one in tolerance if another is out of it; a file in tolerance is shifted too. A constant
    offset is repaired without re-encoding. For a drift the audio is resampled, for jumps it is
    shifted segment by segment; both are re-encoded with their codec. The output only appears once
    it is checked. The input is never written to.

    Args:
        path: a video.
        output: the corrected file; its extension names the container.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one.
        profile: tolerance profile, as in `check`.
        search_s: seconds searched to either side.
        detector: the face detector, as in `check`.
        audio: the audio streams to check and repair: a position from 0, a language tag, or None
            for each by its own offset; `all` also moves those whose offset is not known, with that
            of the file.
        min_confidence: refuse below this confidence, None for 0.8.
        force: write even if the repair would be refused; an offset is needed in any case. Streams
            whose offset is not known move too.
        allow_loss: write even if the container of the output cannot hold all that matters.
        dry_run: check and plan the repair, write nothing.
        overwrite: replace an existing output.
        progress: called with the share that is done, 0 to 1.
        measure: checks a file, called with its path and a progress callback; None for `check`
            with `model`.

    Raises:
        FixRefused: if there is no offset; unless forced, if it is uncertain or intermittent, or
            would not be smaller afterwards.
        RuntimeError: if the output cannot be written, or would lose what matters, unless allowed.
        FileExistsError: if `output` exists, without `overwrite`.
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
            audio=audio,
            progress=report,
        )

    before = check_file(source, _part(progress, 0.0, 1.0 if dry_run else 0.5))
    if before.status != "ok" or before.offset_ms is None:
        raise FixRefused(_no_offset_cause(before), before)
    cause = repair_doubt(before, threshold)
    if cause is not None and not force:
        raise FixRefused(f"{cause}; nothing was written (use force to write it)", before)
    streams = len(probe_media(source, before.video).audio)
    planned = plan_repairs(
        before,
        streams,
        together=force or audio == "all",
        min_confidence=threshold,
        force=force,
    )
    repairs = complete_repairs(source, target, planned, video=before.video, allow_loss=allow_loss)
    repair = next(iter(repairs.values()))
    shift_ms = repair.pieces[0].offset_ms
    if dry_run:
        return FixResult(before, None, shift_ms, target, repair, repairs)
    with atomic_output(target, overwrite=overwrite) as partial:
        left_out = write_repaired(
            source, partial, target, repairs, video=before.video, allow_loss=allow_loss
        )
        repairs = {at: replace(done, left_out=left_out) for at, done in repairs.items()}
        measured = check_file(partial, _part(progress, 0.5, 1.0))
        after = replace(measured, file=str(target))
        cause = _worse_cause(before, after)
        if cause is not None and not force:
            raise FixRefused(f"{cause}; it was not kept (use force to keep it)", before, after)
    repair = next(iter(repairs.values()))
    return FixResult(before, after, shift_ms, target, repair, repairs)


def _kept_words(stream: StreamResult) -> str:
    if stream.status == "ok":
        return "not moved, in tolerance" if stream.verdict == "in_sync" else "not moved, uncertain"
    cause = stream.detail or (stream.reason or "no reason is known").replace("_", " ")
    return f"not moved, its offset is not known: {cause}"


def _worse_cause(before: CheckResult, after: CheckResult) -> str | None:
    """Return why a repaired file should not be kept; None if it should."""
    if after.status != "ok":
        why = after.detail or (after.reason or "no reason is known").replace("_", " ")
        return f"the repaired file cannot be measured again: {why}"
    cause = _worse(before, after, "the repaired file")
    if cause is not None:
        return cause
    was = {stream.audio: stream for stream in before.streams if stream.status == "ok"}
    for stream in after.streams if len(after.streams) > 1 else ():
        if stream.audio not in was:
            continue
        if stream.status != "ok":
            return f"{stream.name} cannot be measured again in the repaired file: {stream.detail}"
        cause = _worse(was[stream.audio], stream, f"{stream.name} of the repaired file")
        if cause is not None:
            return cause
    return None


def _worse(
    before: CheckResult | StreamResult, after: CheckResult | StreamResult, name: str
) -> str | None:
    """Return that an offset is larger than before, in words; None if it is not."""
    was_ms, is_ms = largest_offset_ms(before), largest_offset_ms(after)
    if is_ms > was_ms and (after.verdict != "in_sync" or is_ms > was_ms + NOISE_MS):
        return f"{name} would be off by {is_ms:.0f} ms, and was by {was_ms:.0f} ms"
    return None


def _no_offset_cause(result: CheckResult) -> str:
    cause = result.detail or (result.reason or "no reason is known").replace("_", " ")
    what = "the file cannot be read" if result.status == "unreadable" else "no offset was found"
    return f"{what}: {cause}; nothing was written"


def _part(progress: ProgressCallback | None, start: float, end: float) -> ProgressCallback | None:
    if progress is None:
        return None
    report = progress
    return lambda share: report(start + (end - start) * share)
