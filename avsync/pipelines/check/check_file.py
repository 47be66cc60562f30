"""A video in, its verdict out: where the voice is against the lips."""

from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import torch

from avsync.encoders.conv_block import fold_batch_norms
from avsync.faces.detector import FaceDetector, find_detector
from avsync.media.audio_reader import AudioClock, read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_media
from avsync.pipelines.crop_stream import CropStream
from avsync.pipelines.progress import ProgressCallback
from avsync.scoring.active_speaker import speaking_segments
from avsync.scoring.decision import (
    SEARCH_MARGIN_S,
    Decision,
    TrackExtent,
    cannot_tell,
    decide_offset,
    decide_track,
)
from avsync.scoring.engine import SYNC_CONTRACT, FileScores, SyncModel, score_tracks
from avsync.scoring.music_detection import is_music
from avsync.scoring.result import CheckResult, Reason, TrackResult
from avsync.scoring.score_sums import sum_curves
from avsync.scoring.trajectory.fault import decide_verdict, find_fault
from avsync.scoring.trajectory.model_selection import decide_along_trajectory
from avsync.tasks.calibration import Calibration, calibration_of
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.timing import DEFAULT_PROFILE, FPS, SAMPLE_RATE, is_borderline, tolerance

MAX_SEARCH_S = 5.0
# So much of an audio that fits no lips is asked whether it is music.
OPENING_S = 60

DETAILS: dict[Reason, str] = {
    "no_face": "no face found",
    "face_too_small": "the faces are too small, under 32 pixels wide",
    "too_short": "no face stays in the frame for a second",
    "silence": "there is no audio while a face is in the frame",
    "still_lips": "the lips do not move",
    "music": "the audio is music, and no voice in it fits the lips",
    "no_match": "no offset makes the voice fit the lips: it may be someone else's",
    "out_of_range": "the voice fits best outside the search range; try a wider one",
}


def check(
    path: str | Path,
    *,
    model: str | SyncModel = "dense_sync",
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | FaceDetector | None = None,
    progress: ProgressCallback | None = None,
) -> CheckResult:
    """Measure the offset of a video's audio against the lips of the faces in it.

    Streaming: memory does not grow with the file. A file that cannot be judged is a result with a
    reason, never an exception.

    Args:
        path: a video file.
        model: the name of a sync model that `avsync models` lists, or a model object in eval mode
            that keeps the contract of a sync task.
        weights: a checkpoint of the named model instead of the released one. If there is no
            calibration in the JSON beside it, a cautious default is used, with a warning.
        profile: what is tolerated, a name in `avsync.PROFILES`.
        search_s: seconds searched to either side.
        detector: the face detector, `yunet`, `haar`, an object, or None for the best there is.
        progress: told the share done, 0 to 1.

    ValueError for arguments out of range, RuntimeError for weights that cannot be used.
    """
    # A name that is not known is told before the file is read.
    tolerance(profile)
    if not 0 < search_s <= MAX_SEARCH_S:
        raise ValueError(f"search_s must lie in (0, {MAX_SEARCH_S}] seconds, got {search_s}")
    name, sync_model = resolve_sync_model(model, weights)
    found = find_detector(detector) if detector is None or isinstance(detector, str) else detector
    blank = CheckResult(
        file=str(path), status="unreadable", reason=None, detail="", verdict=None,
        borderline=False, offset_ms=None, interval_ms=None, confidence=0.0, duration_s=None,
        tracks=(), model=name, profile=profile, search_s=search_s,
    )  # fmt: skip
    try:
        info = probe_media(path)
        blank = replace(blank, duration_s=info.duration_s)
        return _judged(blank, info, sync_model, found, progress)
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))


def _judged(
    blank: CheckResult,
    info: MediaInfo,
    model: SyncModel,
    detector: FaceDetector,
    progress: ProgressCallback | None,
) -> CheckResult:
    """Return the result of a file that can be opened, `blank` saying how it is checked."""
    search_s, calibration = blank.search_s, calibration_of(model)
    faces, scores, duration_s = _score(info, model, detector, search_s, progress)
    tracks = tuple(
        decide_track(faces[number], scores.tracks[number], scores.level_db, search_s, calibration)
        for number in sorted(faces)
    )
    tracks = tuple(
        decide_along_trajectory(t, scores.tracks[t.track], search_s, calibration) for t in tracks
    )
    answer = decide_file(tracks, scores, search_s, calibration)
    if answer.reason == "no_match" and is_music(_opening(info)):
        answer = answer._replace(reason="music")
    if answer.offset_ms is not None:
        spans = speaking_segments(scores.tracks, answer.offset_ms)
        tracks = tuple(replace(track, speaking=spans[track.track]) for track in tracks)
    result = replace(
        blank,
        status=answer.status,
        reason=answer.reason,
        detail="" if answer.reason is None else DETAILS[answer.reason],
        offset_ms=answer.offset_ms,
        interval_ms=answer.interval_ms,
        confidence=answer.confidence,
        duration_s=duration_s,
        tracks=tracks,
    )
    if answer.offset_ms is None or answer.interval_ms is None:
        return result
    limits = tolerance(blank.profile)
    heard = [scores.tracks[t.track] for t in _asked(tracks)]
    fault = find_fault(heard, answer.offset_ms, duration_s, search_s, limits, calibration)
    return replace(
        result,
        verdict=decide_verdict(fault, answer.offset_ms, duration_s, limits),
        borderline=is_borderline(answer.interval_ms, limits),
        fault=fault,
    )


def _opening(info: MediaInfo) -> np.ndarray:
    """Return the first minute of the audio, `(N,)` at 16 kHz."""
    blocks: list[np.ndarray] = []
    with closing(read_audio(info.path, info.video_start_s)) as audio:
        for block in audio:
            blocks.append(block)
            if sum(map(len, blocks)) >= OPENING_S * SAMPLE_RATE:
                break
    return np.concatenate([np.zeros(0, np.float32), *blocks])[: OPENING_S * SAMPLE_RATE]


def decide_file(
    tracks: tuple[TrackResult, ...], scores: FileScores, search_s: float, calibration: Calibration
) -> Decision:
    """Return the file's answer from its tracks: from those that can tell, together, or from all of them.

    Tracks too short to tell alone may tell together, as in a file with many cuts. Where none can,
    the longest track gives the reason.
    """
    if not tracks:
        return cannot_tell("no_face")
    asked = _asked(tracks)
    if asked:
        heard = [scores.tracks[t.track] for t in asked]
        near = sum_curves([h.near for h in heard])
        far = [h.far for h in heard if h.far is not None]
        answer = decide_offset(near, sum_curves(far) if far else None, search_s, calibration)
        if answer.status == "ok" or asked[0].status == "ok":
            best = max(asked, key=lambda t: t.confidence)
            return answer if answer.confidence >= best.confidence else _as_answer(best)
        if answer.reason == "out_of_range":
            return answer
    longest = max(asked or tracks, key=lambda t: t.end_s - t.start_s)
    return _as_answer(longest)


def _asked(tracks: tuple[TrackResult, ...]) -> list[TrackResult]:
    """Return the tracks that say where the voice is: those that can tell, else those that may together."""
    telling = [t for t in tracks if t.status == "ok"]
    return telling or [t for t in tracks if t.reason in ("no_match", "out_of_range")]


def _as_answer(track: TrackResult) -> Decision:
    return Decision(
        track.status, track.reason, track.offset_ms, track.interval_ms, track.confidence
    )


def _score(
    info: MediaInfo,
    model: SyncModel,
    detector: FaceDetector,
    search_s: float,
    progress: ProgressCallback | None,
) -> tuple[dict[int, TrackExtent], FileScores, float]:
    """Faces by track, their scores, and the length of the video in seconds."""
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    crops = CropStream(info, model.spec, detector)
    reach_s, out_of_range_s = search_s + SEARCH_MARGIN_S, model.spec.out_of_range_s
    audio = AudioClock(info.path, info.video_start_s, keep_s=max(reach_s, out_of_range_s) + 15)

    def report(ticks: int) -> None:
        if progress is not None and info.duration_s:
            progress(min(1.0, ticks / FPS / info.duration_s))

    try:
        scores = score_tracks(model, crops, audio, reach_s, report, out_of_range_s)
    finally:
        audio.close()
    return crops.faces(), scores, crops.ticks / FPS


def load_model(model: str | SyncModel, weights: str | Path | None = None) -> SyncModel:
    """Load a sync model with its released weights or the given ones, once for all files, on the
    GPU where there is one. A model object is returned as it is.
    """
    return resolve_sync_model(model, weights)[1]


def resolve_sync_model(
    model: str | SyncModel, weights: str | Path | None = None
) -> tuple[str, SyncModel]:
    """Return the name of a sync model and the model, loaded as in `load_model`."""
    return resolve_model(model, weights, _loaded, SYNC_CONTRACT)


@cache
def _loaded(name: str, weights: str | None) -> SyncModel:
    model_card(name, "sync")
    model = create_model(name, pretrained=weights is None, weights=weights)
    fold_batch_norms(model)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return cast(SyncModel, model)
