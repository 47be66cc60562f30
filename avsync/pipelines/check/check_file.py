"""Check one video file: score its faces against its audio, decide the offset, classify the fault.

`check` reads from top to bottom: open the file, score every face at every offset (`_score_faces`),
decide each face and then the file (`_decide_tracks`, `decide_file`), find who speaks when, fit the
offset trajectory, and compare with the tolerance.
"""

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
from avsync.scoring.embeddings import SYNC_CONTRACT, SyncModel
from avsync.scoring.engine import FileScores, score_tracks
from avsync.scoring.music_detection import is_music
from avsync.scoring.result import CheckResult, Reason, TrackResult
from avsync.scoring.score_sums import sum_curves
from avsync.scoring.trajectory.fault import decide_verdict, find_fault
from avsync.scoring.trajectory.model_selection import decide_along_trajectory
from avsync.tasks.calibration import Calibration, calibration_of
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.timing import DEFAULT_PROFILE, FPS, SAMPLE_RATE, is_borderline, tolerance

MAX_SEARCH_S = 5.0
# Length of the beginning of an unmatched audio that is tested for music.
MUSIC_TEST_S = 60

DETAILS: dict[Reason, str] = {
    "no_face": "no face found",
    "face_too_small": "the faces are too small, under 32 pixels wide",
    "too_short": "no face stays in the frame for a second",
    "silence": "there is no audio while a face is in the frame",
    "still_lips": "the lips do not move",
    "music": "the audio is music, and no speech in it matches the lips",
    "no_match": "the audio matches the lips at no offset: the speech may be someone else's",
    "out_of_range": "the audio matches best outside the search range; try a wider one",
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
    """Estimate the audio-video offset of one video file.

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
        info = probe_media(path)
        blank = replace(blank, duration_s=info.duration_s)
        return _check_media(blank, info, sync_model, found, progress)
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))


def _check_media(
    blank: CheckResult,
    info: MediaInfo,
    model: SyncModel,
    detector: FaceDetector,
    progress: ProgressCallback | None,
) -> CheckResult:
    """Check a file that could be opened; `blank` is its result so far."""
    search_s, calibration = blank.search_s, calibration_of(model)
    faces, scores, duration_s = _score_faces(info, model, detector, search_s, progress)
    tracks = _decide_tracks(faces, scores, search_s, calibration)
    decision = decide_file(tracks, scores, search_s, calibration)
    if decision.reason == "no_match" and is_music(_read_beginning(info)):
        decision = decision._replace(reason="music")
    if decision.offset_ms is not None:
        speaking = speaking_segments(scores.tracks, decision.offset_ms)
        tracks = tuple(replace(track, speaking=speaking[track.track]) for track in tracks)
    result = replace(
        blank,
        **decision._asdict(),
        detail="" if decision.reason is None else DETAILS[decision.reason],
        duration_s=duration_s,
        tracks=tracks,
    )
    if decision.offset_ms is None or decision.interval_ms is None:
        return result
    limits = tolerance(blank.profile)
    matched = [scores.tracks[track.track] for track in _deciding_tracks(tracks)]
    fault = find_fault(matched, decision.offset_ms, duration_s, search_s, limits, calibration)
    return replace(
        result,
        verdict=decide_verdict(fault, decision.offset_ms, duration_s, limits),
        borderline=is_borderline(decision.interval_ms, limits),
        fault=fault,
    )


def _score_faces(
    info: MediaInfo,
    model: SyncModel,
    detector: FaceDetector,
    search_s: float,
    progress: ProgressCallback | None,
) -> tuple[dict[int, TrackExtent], FileScores, float]:
    """Track, crop and score the faces of a file; return them, their scores, and the duration."""
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


def _decide_tracks(
    faces: dict[int, TrackExtent], scores: FileScores, search_s: float, calibration: Calibration
) -> tuple[TrackResult, ...]:
    """Decide each face by a constant offset, and if there is none along its trajectory."""
    tracks = []
    for number in sorted(faces):
        found = scores.tracks[number]
        track = decide_track(faces[number], found, scores.level_db, search_s, calibration)
        tracks.append(decide_along_trajectory(track, found, search_s, calibration))
    return tuple(tracks)


def decide_file(
    tracks: tuple[TrackResult, ...], scores: FileScores, search_s: float, calibration: Calibration
) -> Decision:
    """Decide the offset of a file from the evidence of its tracks together.

    Tracks without an offset are only used if none has one: too short to decide alone, they may
    decide together, as in a file with many cuts. If they do not, the longest track gives the
    reason.
    """
    if not tracks:
        return cannot_tell("no_face")
    deciding = _deciding_tracks(tracks)
    if deciding:
        found = [scores.tracks[track.track] for track in deciding]
        curve = sum_curves([track.curve for track in found])
        wide = [track.wide_curve for track in found if track.wide_curve is not None]
        wide_curve = sum_curves(wide) if wide else None
        decision = decide_offset(curve, wide_curve, search_s, calibration)
        if decision.status == "ok" or deciding[0].status == "ok":
            best = max(deciding, key=lambda track: track.confidence)
            return decision if decision.confidence >= best.confidence else _decision_of(best)
        if decision.reason == "out_of_range":
            return decision
    return _decision_of(max(deciding or tracks, key=lambda track: track.end_s - track.start_s))


def _deciding_tracks(tracks: tuple[TrackResult, ...]) -> list[TrackResult]:
    """Return the tracks with an offset; without any, those whose evidence may decide together."""
    decided = [track for track in tracks if track.status == "ok"]
    return decided or [track for track in tracks if track.reason in ("no_match", "out_of_range")]


def _decision_of(track: TrackResult) -> Decision:
    return Decision(
        track.status, track.reason, track.offset_ms, track.interval_ms, track.confidence
    )


def _read_beginning(info: MediaInfo) -> np.ndarray:
    """Read the first minute of the audio, `(N,)` at 16 kHz."""
    blocks: list[np.ndarray] = []
    with closing(read_audio(info.path, info.video_start_s)) as audio:
        for block in audio:
            blocks.append(block)
            if sum(map(len, blocks)) >= MUSIC_TEST_S * SAMPLE_RATE:
                break
    wav = np.concatenate([np.zeros(0, np.float32), *blocks])
    return wav[: MUSIC_TEST_S * SAMPLE_RATE]


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
