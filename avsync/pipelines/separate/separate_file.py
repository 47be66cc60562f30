"""Separate the voice of each face in one video file."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from avsync.atomic import replacing
from avsync.faces.crops import Face
from avsync.faces.detector import FaceDetector, find_detector
from avsync.faces.landmarks import Landmarker, MeshLandmarker, align_to_mean_face
from avsync.faces.tracking import TrackedFace
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_media
from avsync.media.writers.replace_audio import write_replaced_audio
from avsync.media.writers.retime import forecast_copy
from avsync.pipelines.check.stream_decision import DETAILS
from avsync.pipelines.crop_stream import CropStream, Cut
from avsync.pipelines.evaluate.separation import (
    SeparationEvaluation,
    evaluate_separation,
    evaluation_json,
)
from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.separate.output_files import (
    SourceAudio,
    WrittenAudio,
    check_unchanged,
    earlier_files,
    write_audio_files,
)
from avsync.pipelines.separate.overlap_add import (
    FaceStream,
    SeparatedBlock,
    Separator,
    separate_blocks,
)
from avsync.pipelines.separate.people import (
    CroppedFaces,
    NoFaces,
    PersonTracks,
    check_who,
    choose_people,
    find_people,
)
from avsync.pipelines.separate.result import (
    RECORD,
    REST,
    SeparatedVoice,
    SeparationResult,
    write_separation,
)
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.timing import FPS

# Share of the work that face tracking takes.
TRACKING_SHARE = 0.2


def separate(
    path: str | Path,
    output: str | Path,
    *,
    who: str = "all",
    model: str | Separator = "lip_mask",
    weights: str | Path | None = None,
    detector: str | FaceDetector | None = None,
    landmarker: Landmarker | None = None,
    mux: bool = False,
    references: str | Path | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> SeparationResult:
    """Write the voice of each chosen face of a video and the rest of its audio as WAV files.

    `voice_0.wav`, `voice_1.wav`, ... from left to right and `rest.wav` sum to the audio of the
    file: all have its sample rate, channels and length, and begin with the first frame, or with
    the audio where that begins earlier. `separation.json` describes the result. The files appear
    together when all are complete. Memory does not grow with the length of the file.

    Args:
        path: a video file, never written to.
        output: a folder, created if missing.
        who: `all`, `left`, `right` or an index from 0, from the left.
        model: the name of a separation model that `avsync models` lists, or a separation task as
            an object in eval mode.
        weights: a checkpoint of the named model instead of the released one.
        detector: the face detector: `yunet`, `haar`, an object, or None for YuNet.
        landmarker: for models that take landmarks; None for `MeshLandmarker`.
        mux: also write one video per voice: the file with that voice as its audio, encoded with
            the codec of the original; all other streams are copied.
        references: a folder with the true `voice_0.wav`, ..., `rest.wav`, as long as the file's
            audio; the comparison with them is in the result's `metrics`.
        overwrite: replace the files of an earlier separation in `output`.
        progress: called with the share done, 0 to 1.

    Returns:
        The result. A file that cannot be separated is a result with a reason, never an exception.

    Raises:
        ValueError: for arguments out of range.
        FileExistsError: if `output` holds an earlier separation and `overwrite` is not set.
        RuntimeError: for weights that cannot be used, and for a container that videos cannot be
            written to.
    """
    check_who(who)
    if references is not None and not Path(references).is_dir():
        raise ValueError(f"references must be a folder, got {references}")
    name, task = load_separator(model, weights)
    true = [] if references is None else [p for p in Path(references).iterdir() if p.is_file()]
    earlier = earlier_files(Path(output), Path(path), overwrite, true)
    face_detector = _face_detector(detector) if task.spec.uses_video else None
    blank = SeparationResult(str(path), str(output), "unreadable", None, "", who, name)
    try:
        info = probe_media(path)
        if mux:
            forecast_copy(Path(path), _video_path(blank, 0, info), encode=True)
        result = _separate_media(
            blank,
            info,
            task,
            face_detector,
            _landmark_cut(task, landmarker),
            _Writing(mux, overwrite),
            progress or _no_progress,
        )
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))
    except _SilentAudio:
        detail = "there is no audio in the file but silence"
        return replace(blank, status="cannot_tell", reason="silence", detail=detail)
    if result.status == "ok":
        write_separation(result)
        for old in earlier:
            if old.name not in result.written():
                old.unlink(missing_ok=True)
        if references is not None:
            result = replace(result, metrics=_metrics(Path(references), Path(output)))
            write_separation(result)
    return result


def _metrics(references: Path, estimates: Path) -> dict[str, Any]:
    evaluation = SeparationEvaluation(references, estimates)
    return evaluation_json(evaluation, evaluate_separation(evaluation))


def load_separator(
    model: str | Separator, weights: str | Path | None = None
) -> tuple[str, Separator]:
    """Return name and task of a separation model, loaded once and on the GPU where there is one.

    Args:
        model: a name that `avsync models` lists, or a task object, returned as it is.
        weights: a checkpoint of the named model instead of the released one.
    """
    return resolve_model(model, weights, _loaded, ("spec", "separate"))


@cache
def _loaded(name: str, weights: str | None) -> Separator:
    model_card(name, "separation")
    task = create_model(name, pretrained=weights is None, weights=weights)
    task.to("cuda" if torch.cuda.is_available() else "cpu")
    return cast(Separator, task)


class _Writing(NamedTuple):
    """The arguments of `separate` about files."""

    mux: bool
    overwrite: bool


class _SilentAudio(Exception):
    """The audio is silent throughout; the files begun are discarded."""


def _face_detector(detector: str | FaceDetector | None) -> FaceDetector:
    return find_detector(detector) if detector is None or isinstance(detector, str) else detector


def _landmark_cut(model: Separator, landmarker: Landmarker | None) -> Cut | None:
    """Return the function that computes a task's aligned landmarks; None if it takes crops."""
    if not model.spec.landmarks:
        return None
    return partial(_aligned_landmarks, landmarker or MeshLandmarker())


def _aligned_landmarks(
    landmarker: Landmarker, image: np.ndarray, face: TrackedFace
) -> np.ndarray | None:
    landmarks = landmarker(image, Face(face.box, face.points, face.score))
    return None if landmarks is None else align_to_mean_face(landmarks[None])[0]


def _separate_media(
    blank: SeparationResult,
    info: MediaInfo,
    model: Separator,
    detector: FaceDetector | None,
    cut: Cut | None,
    writing: _Writing,
    report: ProgressCallback,
) -> SeparationResult:
    """Separate a file that can be opened; `blank` is the result with the request filled in."""
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    if detector is None:
        audio = SourceAudio.from_media(info)
        return _write_output(blank, info, audio, model, NoFaces(), [], writing, report)
    tracking = CropStream(info, model.spec, detector, wanted=())
    for tick in tracking:
        if info.duration_s and tick.number % FPS == 0:
            report(TRACKING_SHARE * min(1.0, tick.number / FPS / info.duration_s))
    everyone, reason = find_people(tracking.faces())
    people = choose_people(everyone, blank.who)
    blank = replace(blank, faces=len(everyone))
    if reason is not None:
        return replace(blank, status="cannot_tell", reason=reason, detail=DETAILS[reason])
    if not people:
        detail = f"there is no face {blank.who}, only 0 to {len(everyone) - 1} from the left"
        return replace(blank, status="cannot_tell", reason="no_such_face", detail=detail)
    chosen_tracks = {track.track for person in people for track in person.tracks}
    ticks = cast(Any, iter(CropStream(info, model.spec, detector, chosen_tracks, cut)))
    with closing(ticks):
        faces = CroppedFaces(people, ticks, tracking.ticks / FPS)
        audio = SourceAudio.from_media(info)._replace(video_s=tracking.ticks / FPS)
        return _write_output(blank, info, audio, model, faces, people, writing, report)


def _write_output(
    blank: SeparationResult,
    info: MediaInfo,
    audio: SourceAudio,
    model: Separator,
    faces: FaceStream,
    people: Sequence[PersonTracks],
    writing: _Writing,
    report: ProgressCallback,
) -> SeparationResult:
    mux, overwrite = writing
    folder = Path(blank.output)
    numbers = [person.number for person in people] or [0]
    names = [f"voice_{number}.wav" for number in numbers]
    videos = [_video_path(blank, number, info) for number in numbers if mux]
    with ExitStack() as stack:
        rest, *voices = (stack.enter_context(replacing(folder / name)) for name in (REST, *names))
        blocks = stack.enter_context(closing(audio.blocks()))
        separated = separate_blocks(model, blocks, audio.sample_rate, faces, -audio.lead_s * FPS)
        separated = _with_progress(separated, audio.sample_rate, info.duration_s, report)
        written = write_audio_files(audio, separated, voices, rest)
        if not written.energies[0]:
            raise _SilentAudio
        for voice, video in zip(voices, videos, strict=False):
            unfinished = stack.enter_context(replacing(video))
            write_replaced_audio(
                Path(info.path), unfinished, video, voice, info.video_start_s + audio.start_s
            )
        check_unchanged([folder / REST, *(folder / name for name in names), *videos], overwrite)
        # A process that is killed between the renames that follow must not leave the record of an
        # earlier run beside voices of this one.
        (folder / RECORD).unlink(missing_ok=True)
    return replace(
        blank,
        status="ok",
        voices=_voices(names, videos, people, written),
        rest=REST,
        sample_rate=audio.sample_rate,
        channels=written.channels,
        start_s=round(audio.start_s, 6),
        duration_s=round(written.samples / audio.sample_rate, 6),
    )


def _video_path(blank: SeparationResult, number: int, info: MediaInfo) -> Path:
    return Path(blank.output) / f"voice_{number}{Path(info.path).suffix}"


def _voices(
    names: Sequence[str],
    videos: Sequence[Path],
    people: Sequence[PersonTracks],
    written: WrittenAudio,
) -> tuple[SeparatedVoice, ...]:
    voices = []
    for index, name in enumerate(names):
        video = videos[index].name if videos else None
        voice = SeparatedVoice(None, name, video, written.level_db(index), None, ())
        if people:
            person = people[index]
            voice = replace(voice, number=person.number, box=person.box, seen=person.seen)
        voices.append(voice)
    return tuple(voices)


def _with_progress(
    separated: Iterator[SeparatedBlock],
    sample_rate: int,
    duration_s: float | None,
    report: ProgressCallback,
) -> Iterator[SeparatedBlock]:
    """Yield the same blocks and report the share done."""
    samples = 0
    for block in separated:
        samples += block.mixture.shape[1]
        yield block
        if duration_s:
            separated_share = min(1.0, samples / sample_rate / duration_s)
            report(TRACKING_SHARE + (1 - TRACKING_SHARE) * separated_share)


def _no_progress(share: float) -> None:
    """Ignore the share done."""
