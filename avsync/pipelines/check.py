"""A video in, its verdict out: where the voice is against the lips."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import torch

from avsync.encoders.conv_block import fold_norms
from avsync.media.ahead import ahead
from avsync.media.audio import AudioClock
from avsync.media.container import UnreadableMedia
from avsync.media.crops import cut_face, cut_head, cut_mouth
from avsync.media.faces import FaceDetector, find_detector
from avsync.media.probe import MediaInfo, probe
from avsync.media.tracks import TrackedFace, follow_faces
from avsync.media.video import at_rate, read_frames
from avsync.registry import create_model, model_row
from avsync.scoring.calibrations import calibration_of
from avsync.scoring.course import rejudge
from avsync.scoring.engine import CroppedTick, Scores, SyncModel, score_tracks
from avsync.scoring.fault import find_fault, verdict_on
from avsync.scoring.offset import Calibration
from avsync.scoring.result import CheckResult, Reason, TrackResult
from avsync.scoring.speakers import speaking_spans
from avsync.scoring.verdict import (
    BEYOND_S,
    Answer,
    FaceTrack,
    cannot_tell,
    judge_evidence,
    judge_track,
)
from avsync.tasks.clip_spec import ClipSpec
from avsync.timing import DEFAULT_PROFILE, FPS, is_borderline, tolerance

# Pictures are scaled down to this while they are decoded: faces of talking people stay large
# enough, and 4K costs what HD does.
MAX_SIDE = 1280
MAX_SEARCH_S = 5.0
CROPS_AHEAD = 100

DETAILS: dict[Reason, str] = {
    "no_face": "no face found",
    "face_too_small": "the faces are too small, under 32 pixels wide",
    "too_short": "no face stays in the picture for a second",
    "silence": "there is no sound while a face is in the picture",
    "still_lips": "the lips do not move",
    "no_match": "no offset makes a voice fit the lips: it may be someone else's, or music",
    "out_of_range": "the offset lies outside the search range; try a wider one",
}

Report = Callable[[float], None]


def check(
    path: str | Path,
    *,
    model: str = "dense_sync",
    weights: str | Path | None = None,
    profile: str = DEFAULT_PROFILE,
    search_s: float = 1.0,
    detector: str | FaceDetector | None = None,
    progress: Report | None = None,
) -> CheckResult:
    """Measures the offset of a video's sound against the lips of the faces in it.

    Streaming: memory does not grow with the file. A file that cannot be judged is a result with a
    reason, never an exception.

    Args:
        path: a video file.
        model: a sync model, one of `list_models()`.
        weights: a checkpoint of that model instead of the released one.
        profile: what is tolerated, a name in `avsync.PROFILES`.
        search_s: seconds searched to either side.
        detector: the face detector, `yunet`, `haar`, an object, or None for the best there is.
        progress: told the share done, 0 to 1.

    ValueError for arguments out of range, RuntimeError for weights that cannot be used.
    """
    limits = tolerance(profile)
    if not 0 < search_s <= MAX_SEARCH_S:
        raise ValueError(f"search_s must lie in (0, {MAX_SEARCH_S}] seconds, got {search_s}")
    sync_model = load_model(model, weights)
    found = find_detector(detector) if detector is None or isinstance(detector, str) else detector
    calibration = calibration_of(model)
    blank = CheckResult(
        file=str(path), status="unreadable", reason=None, detail="", verdict=None,
        borderline=False, offset_ms=None, interval_ms=None, confidence=0.0, duration_s=None,
        tracks=(), model=model_row(model).name, profile=profile, search_s=search_s,
    )  # fmt: skip
    try:
        info = probe(path)
        blank = replace(blank, duration_s=info.duration_s)
        faces, scores, duration_s = _score(info, sync_model, found, search_s, progress)
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))
    tracks = tuple(
        judge_track(faces[number], scores.tracks[number], scores.level_db, search_s, calibration)
        for number in sorted(faces)
    )
    tracks = tuple(rejudge(t, scores.tracks[t.track], search_s, calibration) for t in tracks)
    answer = judge_file(tracks, scores, search_s, calibration)
    if answer.offset_ms is not None:
        spans = speaking_spans(scores.tracks, answer.offset_ms)
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
    heard = [scores.tracks[t.track] for t in _asked(tracks)]
    fault = find_fault(heard, answer.offset_ms, duration_s, search_s, limits, calibration)
    return replace(
        result,
        verdict=verdict_on(fault, answer.offset_ms, duration_s, limits),
        borderline=is_borderline(answer.interval_ms, limits),
        fault=fault,
    )


def judge_file(
    tracks: tuple[TrackResult, ...], scores: Scores, search_s: float, calibration: Calibration
) -> Answer:
    """The file's answer from its tracks: from those that can tell, together, or from all of them.

    Tracks too short to tell alone may tell together, as in a file with many cuts. Where none can,
    the longest track gives the reason.
    """
    if not tracks:
        return cannot_tell("no_face")
    asked = _asked(tracks)
    if asked:
        heard = [scores.tracks[t.track] for t in asked]
        evidence = np.sum([each.evidence.sum(0) for each in heard], axis=0)
        answer = judge_evidence(evidence, heard[0].offsets_ms, search_s, calibration)
        if answer.status == "ok" or asked[0].status == "ok":
            best = max(asked, key=lambda t: t.confidence)
            return answer if answer.confidence >= best.confidence else _as_answer(best)
    longest = max(asked or tracks, key=lambda t: t.end_s - t.start_s)
    return _as_answer(longest)


def _asked(tracks: tuple[TrackResult, ...]) -> list[TrackResult]:
    """The tracks that say where the voice is: those that can tell, else those that may together."""
    telling = [t for t in tracks if t.status == "ok"]
    return telling or [t for t in tracks if t.reason in ("no_match", "out_of_range")]


def _as_answer(track: TrackResult) -> Answer:
    return Answer(track.status, track.reason, track.offset_ms, track.interval_ms, track.confidence)


def _score(
    info: MediaInfo,
    model: SyncModel,
    detector: FaceDetector,
    search_s: float,
    progress: Report | None,
) -> tuple[dict[int, FaceTrack], Scores, float]:
    """Faces by track, their scores, and the length of the video in seconds."""
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no sound")
    crops = _Crops(info, model.spec, detector)
    sound = AudioClock(info.path, info.video_start_s, keep_s=search_s + BEYOND_S + 15)

    def report(ticks: int) -> None:
        if progress is not None and info.duration_s:
            progress(min(1.0, ticks / FPS / info.duration_s))

    try:
        scores = score_tracks(model, crops, sound, search_s + BEYOND_S, report)
    finally:
        sound.close()
    return crops.faces(), scores, crops.ticks / FPS


class _Crops:
    """The crops of a file's faces, tick by tick; afterwards, what was seen of each face."""

    def __init__(self, info: MediaInfo, spec: ClipSpec, detector: FaceDetector) -> None:
        self.info, self.spec, self.detector = info, spec, detector
        self.ticks = 0
        self.scale = 1.0
        self.seen: dict[int, _Seen] = {}

    def __iter__(self) -> Iterator[CroppedTick]:
        # Faces are found and cut by a thread of their own while the model scores the last block.
        return ahead(self._cropped(), CROPS_AHEAD)

    def _cropped(self) -> Generator[CroppedTick]:
        ticks = at_rate(read_frames(self.info.path, MAX_SIDE), self.spec.fps)
        for number, _, image, faces in follow_faces(ticks, self.detector, self.detector.every):
            self.ticks = number + 1
            self.scale = self.info.width / image.shape[1]
            # A score of 0 marks a face that was lost and is held where it was: nothing to look at.
            there = [face for face in faces if face.score > 0]
            for face in there:
                self.seen.setdefault(face.track, _Seen(number)).add(number, face.box)
            yield CroppedTick(number, {face.track: self.cut(image, face) for face in there})

    def cut(self, image: np.ndarray, face: TrackedFace) -> np.ndarray:
        size = self.spec.width
        if self.spec.crop == "mouth":
            return cut_mouth(image, face.points, size)
        if self.spec.crop == "head":
            return cut_head(image, face.box, size)
        crop = cut_face(image, face.box, size)
        return crop[size // 2 :] if self.spec.lower_half else crop

    def faces(self) -> dict[int, FaceTrack]:
        return {number: seen.face(number, self.scale) for number, seen in self.seen.items()}


@dataclass
class _Seen:
    """Where a face was, sparsely: one box a second, whatever the length of the track."""

    first: int
    last: int = 0
    boxes: list[np.ndarray] = field(default_factory=list)

    def add(self, number: int, box: np.ndarray) -> None:
        if number >= self.first + FPS * len(self.boxes):
            self.boxes.append(box)
        self.last = number

    def face(self, number: int, scale: float) -> FaceTrack:
        x0, y0, x1, y1 = (scale * np.median(self.boxes, axis=0)).tolist()
        return FaceTrack(number, self.first / FPS, (self.last + 1) / FPS, (x0, y0, x1, y1))


def load_model(name: str, weights: str | Path | None = None) -> SyncModel:
    """A sync model with its released weights or the given ones, loaded once for all files; on the
    GPU where there is one.
    """
    return _loaded(name, None if weights is None else str(weights))


@cache
def _loaded(name: str, weights: str | None) -> SyncModel:
    model = create_model(name, pretrained=weights is None, weights=weights)
    fold_norms(model)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return cast(SyncModel, model)
