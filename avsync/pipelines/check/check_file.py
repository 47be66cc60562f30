"""Check one video file: each of its audio streams against the faces of the video.

`check` reads from top to bottom: choose the video stream (`choose_video`), score every face against
every audio stream at every offset (`score_file`), decide each stream (`decide_stream`), score
single channels where the mix of all gives no answer (`_channels`), and choose the stream by which
the file is judged (`judging_stream`).
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import cast

import torch

from avsync.encoders.conv_block import fold_batch_norms
from avsync.faces.detector import FaceDetector, find_detector
from avsync.media.container import UnreadableMedia
from avsync.media.probe import AudioStream, MediaInfo, channel_names
from avsync.media.read_log import ReadLog
from avsync.pipelines.check.audio_streams import (
    blank_result,
    channels_to_try,
    diagnose,
    judging_stream,
    select_streams,
)
from avsync.pipelines.check.file_scores import (
    AudioChoice,
    ScoredFile,
    choose_video,
    score_file,
)
from avsync.pipelines.check.messages import format_time
from avsync.pipelines.check.stream_decision import decide_stream
from avsync.pipelines.progress import ProgressCallback
from avsync.scoring.embeddings import SYNC_CONTRACT, SyncModel
from avsync.scoring.result import CheckResult, Interval, Reason, StreamResult
from avsync.scoring.trajectory.fault import MAX_OUT_S, MAX_OUT_SHARE
from avsync.tasks.calibration import calibration_of
from avsync.tasks.catalog import DEFAULT_SYNC_MODEL
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.timing import DEFAULT_PROFILE, tolerance

MAX_SEARCH_S = 5.0
# Minimum confidence of an offset by a single channel: of several, one may match by chance.
MIN_CHANNEL_CONFIDENCE = 0.88
# Less at the end of a file is the rounding of headers.
MIN_TAIL_S = 1.0
# More bytes than this after the end of a file are content, not an index.
MAX_UNREAD_SHARE = 0.25
# Fields of a result that are those of the stream by which the file is judged.
ANSWER = tuple(
    field.name
    for field in fields(StreamResult)
    if field.name in {other.name for other in fields(CheckResult)}
)


def check(
    path: str | Path,
    *,
    model: str | SyncModel = DEFAULT_SYNC_MODEL,
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | FaceDetector | None = None,
    audio: str | int | None = None,
    progress: ProgressCallback | None = None,
) -> CheckResult:
    """Estimate the audio-video offset of one video file, for each of its audio streams.

    Streaming: memory does not grow with the length of the file. A file without an estimate is a
    result with a reason, never an exception.

    Args:
        path: a video file.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one. If there is no
            calibration in the JSON beside it, a cautious default is used, with a warning.
        profile: tolerance profile, a name in `avsync.PROFILES`.
        search_s: seconds searched to either side.
        detector: the face detector: `yunet`, `haar`, an object, or None for YuNet.
        audio: the audio streams to compare: a position from 0, a language tag, or None for all.
        progress: called with the share that is done, 0 to 1.

    Raises:
        ValueError: if an argument is out of range.
        RuntimeError: if the weights cannot be used.
    """
    # Arguments are checked before the file is read.
    tolerance(profile)
    if not 0 < search_s <= MAX_SEARCH_S:
        raise ValueError(f"search_s must lie in (0, {MAX_SEARCH_S}] seconds, got {search_s}")
    name, sync_model = resolve_sync_model(model, weights)
    found = find_detector(detector) if detector is None or isinstance(detector, str) else detector
    blank = unreadable_result(path, name, profile, search_s)
    try:
        info = choose_video(str(path), found)
        blank = replace(blank, duration_s=info.duration_s, video=info.video)
        wanted = select_streams(info, audio)
        return _check_streams(blank, info, wanted, sync_model, found, progress)
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))


def _check_streams(
    blank: CheckResult,
    info: MediaInfo,
    wanted: Sequence[AudioStream],
    model: SyncModel,
    detector: FaceDetector,
    progress: ProgressCallback | None,
) -> CheckResult:
    """Check a file that could be opened; `blank` is its result so far."""
    results, readable = _open_streams(info, wanted)
    choices = [AudioChoice(stream.index) for stream in readable]
    search_s = blank.search_s
    calibration, limits = calibration_of(model), tolerance(blank.profile)
    blank = replace(
        blank,
        zero_uncertainty_ms=calibration.zero_uncertainty_ms,
        source_spread_ms=calibration.source_spread_ms,
    )
    scored = score_file(info, choices, model, detector, search_s, progress)

    def decide(stream: StreamResult, choice: AudioChoice, found: ScoredFile) -> StreamResult:
        scores = found.scores[choice]
        decided = decide_stream(
            stream, found.faces, scores, found.duration_s, search_s, limits, calibration
        )
        return diagnose(decided, info, choice.channel, found.audio_logs[choice])

    for stream in readable:
        choice = AudioChoice(stream.index)
        results[stream.index] = decide(results[stream.index], choice, scored)
    tried = _channels(info, list(results.values()))
    if tried and scored.faces:
        again = score_file(info, tried, model, detector, search_s, progress)
        for choice in tried:
            mix = results[choice.audio]
            name = channel_names(info.path, choice.audio)[choice.channel or 0]
            blank_channel = replace(blank_result(info.audio[choice.audio]), channel=name)
            single = decide(blank_channel, choice, again)
            results[choice.audio] = _better(mix, single)
    return _judge(replace(blank, duration_s=scored.duration_s), info, results, scored.log)


def _open_streams(
    info: MediaInfo, wanted: Sequence[AudioStream]
) -> tuple[dict[int, StreamResult], list[AudioStream]]:
    """Return blank results by position, and the streams that can be decoded.

    Raises:
        UnreadableMedia: if none can.
    """
    results = {stream.index: blank_result(stream) for stream in wanted}
    readable = []
    errors = []
    for stream in wanted:
        try:
            channel_names(info.path, stream.index)  # Decodes the first frame.
            readable.append(stream)
        except UnreadableMedia as error:
            errors.append(error)
            results[stream.index] = replace(
                results[stream.index], status="unreadable", reason=error.reason, detail=str(error)
            )
    if not readable:
        raise errors[0]
    return results, readable


def _channels(info: MediaInfo, results: Sequence[StreamResult]) -> list[AudioChoice]:
    """Return the channels to compare on their own, of the streams without an offset.

    If another stream has one, only of streams whose channels cancel in the mix: a music and effects
    track would take a second pass over the video for nothing.
    """
    answered = any(stream.status == "ok" for stream in results)
    return [
        AudioChoice(stream.audio, channel)
        for stream in results
        if stream.status == "cannot_tell"
        for channel in channels_to_try(info, stream, only_cancelled=answered)
    ]


def _better(mix: StreamResult, single: StreamResult) -> StreamResult:
    """Return the more confident offset, or the result that says more about the audio."""
    if single.status == "ok":
        sure = single.confidence >= MIN_CHANNEL_CONFIDENCE
        better = mix.status != "ok" or single.confidence > mix.confidence
        return single if sure and better else mix
    inaudible = mix.status != "ok" and mix.reason in ("silence", "too_quiet")
    return single if inaudible and single.reason not in ("silence", "too_quiet") else mix


def _judge(
    blank: CheckResult, info: MediaInfo, results: dict[int, StreamResult], log: ReadLog
) -> CheckResult:
    """Return the result of the file, which is that of one of its streams.

    A file of which a part could not be read is never in tolerance.
    """
    not_read = _not_read(log)
    missing_s = sum(end_s - start_s for start_s, end_s in not_read)
    streams = [_with_unknown(stream, missing_s) for stream in results.values()]
    judge = judging_stream(streams, own_programme(info))
    answer = {name: getattr(judge, name) for name in ANSWER}
    result = replace(blank, **answer, not_read=not_read, streams=tuple(streams))
    missing = _missing_words(blank, not_read, missing_s, log)
    if result.verdict != "in_sync" or missing is None:
        return result
    return replace(
        result,
        status="cannot_tell",
        reason="incomplete",
        detail=f"in tolerance where the file could be read, but {missing}",
        verdict=None,
        borderline=False,
        offset_ms=None,
        interval_ms=None,
        fault=None,
    )


def _missing_words(
    blank: CheckResult, not_read: Sequence[Interval], missing_s: float, log: ReadLog
) -> str | None:
    """Return what of a file could not be read, in words; None if it is next to nothing."""
    duration_s = max(blank.duration_s or 0.0, *(end_s for _, end_s in not_read), 0.0)
    if missing_s >= min(MAX_OUT_S, MAX_OUT_SHARE * duration_s) and not_read:
        parts = ", ".join(f"{format_time(a)} to {format_time(b)}" for a, b in not_read)
        return f"{missing_s:.0f} s of {duration_s:.0f} s could not be: {parts}"
    size = Path(blank.file).stat().st_size
    if log.unread_bytes > MAX_UNREAD_SHARE * size:
        share = f"{log.unread_bytes / size:.0%} of its bytes"
        return f"{share} come after its end, such as a second file that was joined to it"
    return None


def _with_unknown(stream: StreamResult, missing_s: float) -> StreamResult:
    """Return the result of a stream with what could not be read counted as unknown."""
    if stream.coverage is None or not missing_s:
        return stream
    unknown_s = stream.coverage.unknown_s + missing_s
    return replace(stream, coverage=stream.coverage._replace(unknown_s=unknown_s))


def own_programme(info: MediaInfo) -> list[int]:
    """Return the positions of the audio streams that belong to the video's own programme."""
    own = info.videos[info.video].programme if info.videos else None
    return [stream.index for stream in info.audio if stream.programme == own]


def _not_read(log: ReadLog) -> tuple[Interval, ...]:
    """Return the parts of a video that could not be read: damage, and the end of a cut-off file."""
    parts = list(log.undecoded)
    end_s, expected_s = log.end_s, log.expected_end_s
    if end_s is not None and expected_s is not None and expected_s - end_s > MIN_TAIL_S:
        parts.append((end_s, expected_s))
    return tuple(parts)


def unreadable_result(
    path: str | Path,
    model: str,
    profile: str,
    search_s: float,
    reason: Reason | None = None,
    detail: str = "",
) -> CheckResult:
    """Return the result of a file that cannot be read."""
    return CheckResult(
        file=str(path), status="unreadable", reason=reason, detail=detail, verdict=None,
        borderline=False, offset_ms=None, interval_ms=None, confidence=0.0, duration_s=None,
        tracks=(), model=model, profile=profile, search_s=search_s,
    )  # fmt: skip


def load_model(model: str | SyncModel, weights: str | Path | None = None) -> SyncModel:
    """Load a sync model with its released weights or the given ones, on the GPU if there is one.

    It is loaded once for all files. A model object is returned as it is.
    """
    return resolve_sync_model(model, weights)[1]


def resolve_sync_model(
    model: str | SyncModel, weights: str | Path | None = None
) -> tuple[str, SyncModel]:
    """Return the name of a sync model and the model, loaded as in `load_model`."""
    return resolve_model(model, weights, _load_named, SYNC_CONTRACT)


@cache
def _load_named(name: str, weights: str | None) -> SyncModel:
    model_card(name, "sync")
    model = create_model(name, pretrained=weights is None, weights=weights)
    fold_batch_norms(model)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return cast(SyncModel, model)
