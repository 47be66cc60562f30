"""Score the talking faces in a folder of videos, each and in the mean: `avsync score`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from avsync.evaluation.sync_accuracy import bootstrap_interval
from avsync.pipelines.check.batch import check_files
from avsync.pipelines.evaluate.talking import TalkingEvaluation, evaluate_talking
from avsync.scoring.result import CheckResult, Fault, OffsetSegment
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.timing import DEFAULT_PROFILE, tolerance


class ClipScores(NamedTuple):
    """Scores of one clip; None where one is not known.

    Args:
        clip: name of the video without its suffix.
        true: whether it is one of the references.
        status: `ok`, `cannot_tell` (no offset), or `unreadable`.
        detail: why a score is missing, in words.
        duration_s: length of the video.
        offset_ms: offset of the audio, positive = it leads.
        low_ms: lower end of the offset's interval.
        high_ms: upper end.
        confidence: probability that the interval holds the true offset.
        misalignment_ms: mean over time of the absolute offset, of drifts and jumps as well.
        out_share: share of the time in which the offset is out of the profile's tolerance.
        lse_d: lip-sync error distance, of the judging model's embeddings; lower is better.
        lse_c: lip-sync error confidence, likewise; higher is better.
        pri: primacy index, likewise; lower is better.
        psnr: of the lower half of the face against the reference, in dB.
        ssim: likewise, at most 1.
    """

    clip: str
    true: bool
    status: Literal["ok", "cannot_tell", "unreadable"]
    detail: str
    duration_s: float | None = None
    offset_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    confidence: float | None = None
    misalignment_ms: float | None = None
    out_share: float | None = None
    lse_d: float | None = None
    lse_c: float | None = None
    pri: float | None = None
    psnr: float | None = None
    ssim: float | None = None


class Mean(NamedTuple):
    """Mean of a score over the clips that have it, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    clips: int


class ScoreTable(NamedTuple):
    """Scores of all clips, and what they were measured by.

    Args:
        rows: the clips, then the references.
        model: the sync model that measures offsets.
        sync: the sync model whose embeddings give LSE and PRI.
        profile: tolerance profile of `out_share`.
    """

    rows: tuple[ClipScores, ...]
    model: str
    sync: str
    profile: str

    def means(self, true: bool = False) -> dict[str, Mean]:
        """Return the means over the clips, or over the references, by the name of the score."""
        rows = [row for row in self.rows if row.true == true]
        found = {}
        for name in MEAN_SCORES:
            known = [float(value) for row in rows if (value := getattr(row, name)) is not None]
            if known:
                mean = sum(known) / len(known)
                found[name] = Mean(mean, *bootstrap_interval(known), len(known))
        return found


# Scores of which there are means: all numbers but the ends of the interval.
MEAN_SCORES = tuple(name for name in ClipScores._fields[5:] if name not in ("low_ms", "high_ms"))


def score(
    videos: str | Path,
    references: str | Path | None = None,
    *,
    model: str = DEFAULT_SYNC_MODEL,
    weights: str | Path | None = None,
    sync: str = "dense_sync",
    sync_weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    detector: Literal["best", "yunet", "haar"] = "best",
    workers: int = 0,
) -> ScoreTable:
    """Score the talking faces in videos, as they are, by their lips and their audio.

    Offsets are those of `check`; LSE, PRI, PSNR and SSIM those of `evaluate_talking`. A video that
    cannot be read, or does not match its reference, is a row with the reason.

    Args:
        videos: a video, or a folder of them.
        references: the true video, or a folder of true videos with the same names, whatever their
            suffix, of equal size and length: PSNR and SSIM compare with them, and they are scored
            themselves.
        model: the sync model that measures offsets.
        weights: a checkpoint of that model instead of the released one.
        sync: the sync model whose embeddings give LSE and PRI. Published LSE is that of `syncnet`.
        sync_weights: a checkpoint of that model.
        profile: tolerance profile of `out_share`.
        detector: face detector; `best` is YuNet.
        workers: processes that measure offsets; 0 for this one.

    Raises:
        ValueError: there is no video, or an argument is wrong.
        RuntimeError: weights are missing or of another model, or torchmetrics is missing where
            there are references.
    """
    tolerance(profile)
    given = Path(videos), None if references is None else Path(references)
    rows: list[ClipScores] = []
    for made, beside in [given] if given[1] is None else [given, (given[1], None)]:
        # First, since it finds wrong pairs and weights before an hour of work.
        figures = evaluate_talking(
            TalkingEvaluation(
                made=made,
                references=beside,
                sync=sync,
                sync_weights=None if sync_weights is None else Path(sync_weights),
                detector=detector,
            )
        )
        checked = check_files(
            [made],
            model=model,
            weights=weights,
            profile=profile,
            detector=None if detector == "best" else detector,
            workers=workers,
        )
        pairs = zip(checked, figures["per_clip"], strict=True)
        rows += [_scores_of(result, judged, bool(rows)) for result, judged in pairs]
    return ScoreTable(tuple(rows), model, sync, profile)


def mean_misalignment_ms(pieces: Iterable[OffsetSegment]) -> float:
    """Return the mean over time of the absolute offset of linear segments, in ms."""
    total, length_s = 0.0, 0.0
    for segment in pieces:
        duration_s = segment.end_s - segment.start_s
        first, last = segment.offset_ms, segment.at(segment.end_s)
        if first * last >= 0:
            mean = (abs(first) + abs(last)) / 2
        else:  # It goes through zero: two triangles.
            mean = (first**2 + last**2) / (2 * (abs(first) + abs(last)))
        total += mean * duration_s
        length_s += duration_s
    return total / length_s if length_s > 0 else 0.0


def _scores_of(result: CheckResult, judged: dict[str, Any], true: bool) -> ClipScores:
    details = [result.detail if result.status != "ok" else "", judged["detail"]]
    low_ms, high_ms = result.interval_ms or (None, None)
    known = result.status == "ok"
    return ClipScores(
        clip=Path(result.file).stem,
        true=true,
        status=result.status,
        detail="; ".join(dict.fromkeys(filter(None, details))),
        duration_s=result.duration_s,
        offset_ms=result.offset_ms,
        low_ms=low_ms,
        high_ms=high_ms,
        confidence=result.confidence if known else None,
        **_over_time(result.fault),
        **{name: judged[name] for name in ("lse_d", "lse_c", "pri", "psnr", "ssim")},
    )


def _over_time(fault: Fault | None) -> dict[str, float]:
    if fault is None or not fault.pieces:
        return {}
    length_s = sum(segment.end_s - segment.start_s for segment in fault.pieces)
    share = min(1.0, fault.out_s / length_s) if length_s > 0 else 0.0
    return {"misalignment_ms": mean_misalignment_ms(fault.pieces), "out_share": share}
