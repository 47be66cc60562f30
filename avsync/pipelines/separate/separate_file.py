"""A video in, the voice of each face in it out, and what is left of the audio without them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from avsync.atomic import replacing
from avsync.faces.crops import Face
from avsync.faces.detector import FaceDetector, find_detector
from avsync.faces.landmarks import Landmarker, MediaPipeLandmarker, align_to_mean_face
from avsync.faces.tracking import TrackedFace
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_media
from avsync.media.writers.replace_audio import write_replaced_audio
from avsync.media.writers.retime import forecast_copy
from avsync.pipelines.check.check_file import DETAILS
from avsync.pipelines.crop_stream import CropStream, Cut
from avsync.pipelines.evaluate.separation import (
    SeparationEvaluation,
    evaluate_separation,
    evaluation_json,
)
from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.separate.overlap_add import Faces, Separated, Separator, separate_blocks
from avsync.pipelines.separate.people import (
    NoFaces,
    Person,
    SeenFaces,
    check_who,
    chosen,
    people_of,
)
from avsync.pipelines.separate.result import (
    REST,
    SeparationResult,
    Sound,
    Voice,
    Written,
    earlier_files,
    write_audio_files,
    write_separation,
)
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.timing import FPS

# The share of the work that looking for faces is.
LOOKING = 0.2


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
    """Write the voice of each chosen face of a video, and what is left, as WAV files.

    `voice_0.wav`, `voice_1.wav`, ... from left to right and `rest.wav` add up to the file's audio:
    all have its sample rate, its channels and its length, and begin with the first frame, or with
    the audio where that begins earlier. `separation.json` says what was done. They appear together
    when all are whole. Memory does not grow with the file. A file that cannot be separated is a
    result with a reason, never an exception.

    Args:
        path: a video file, never written to.
        output: a folder, made if missing.
        who: `all`, `left`, `right` or a number from 0, counted from the left.
        model: the name of a separation model that `avsync models` lists, or a model object in eval
            mode that keeps the contract of a separation task.
        weights: a checkpoint of the named model instead of the released one.
        detector: the face detector, `yunet`, `haar`, an object, or None for the best there is.
        landmarker: for a model that looks at landmarks; None: MediaPipe's.
        mux: also write a video for each voice: the file with that voice for its audio, encoded as
            its own was; all else is copied.
        references: a folder with the true `voice_0.wav`, ..., `rest.wav`, as long as the file's
            audio: how near to them the written ones are goes into `metrics`.
        overwrite: replace what an earlier separation has written to `output`, which else is a
            FileExistsError.
        progress: told the share done, 0 to 1.

    ValueError for arguments out of range, RuntimeError for weights that cannot be used, and for a
    container that a video cannot be written to.
    """
    check_who(who)
    if references is not None and not Path(references).is_dir():
        raise ValueError(f"references must be a folder, got {references}")
    name, task = load_separator(model, weights)
    earlier = earlier_files(Path(output), Path(path), overwrite)
    found = _detector(detector) if task.spec.uses_video else None
    blank = SeparationResult(str(path), str(output), "unreadable", None, "", who, name)
    try:
        info = probe_media(path)
        if mux:
            forecast_copy(Path(path), _video(blank, 0, info), encode=True)
        with _cut(task, landmarker) as cut:
            result = _separated(blank, info, task, found, cut, mux, progress or _nobody)
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))
    except _NothingHeard:
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
    """Return the name and the task of a separation model, loaded once for all files; on the GPU where
    there is one.
    """
    return resolve_model(model, weights, _loaded, ("spec", "separate"))


@cache
def _loaded(name: str, weights: str | None) -> Separator:
    model_card(name, "separation")
    task = create_model(name, pretrained=weights is None, weights=weights)
    task.to("cuda" if torch.cuda.is_available() else "cpu")
    return cast(Separator, task)


class _NothingHeard(Exception):
    """The audio is silence from end to end: what was written of it does not stay."""


def _detector(named: str | FaceDetector | None) -> FaceDetector:
    return find_detector(named) if named is None or isinstance(named, str) else named


@contextmanager
def _cut(model: Separator, landmarker: Landmarker | None) -> Iterator[Cut | None]:
    """Yield what a task looks at of a face, where that is no crop: its landmarks, aligned."""
    if not model.spec.landmarks:
        yield None
    elif landmarker is None:
        with MediaPipeLandmarker() as found:
            yield partial(_landmarks, found)
    else:
        yield partial(_landmarks, landmarker)


def _landmarks(landmarker: Landmarker, image: np.ndarray, face: TrackedFace) -> np.ndarray | None:
    found = landmarker(image, Face(face.box, face.points, face.score))
    return None if found is None else align_to_mean_face(found[None])[0]


def _separated(
    blank: SeparationResult,
    info: MediaInfo,
    model: Separator,
    detector: FaceDetector | None,
    cut: Cut | None,
    mux: bool,
    report: ProgressCallback,
) -> SeparationResult:
    """Return the result of a file that can be opened, `blank` saying how it is separated."""
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    if detector is None:
        return _written(blank, info, model, NoFaces(), [], mux, report)
    looking = CropStream(info, model.spec, detector, wanted=())
    for tick in looking:
        if info.duration_s and tick.number % FPS == 0:
            report(LOOKING * min(1.0, tick.number / FPS / info.duration_s))
    everyone, reason = people_of(looking.faces())
    people = chosen(everyone, blank.who)
    blank = replace(blank, faces=len(everyone))
    if reason is not None:
        return replace(blank, status="cannot_tell", reason=reason, detail=DETAILS[reason])
    if not people:
        detail = f"there is no face {blank.who}, only 0 to {len(everyone) - 1} from the left"
        return replace(blank, status="cannot_tell", reason="no_such_face", detail=detail)
    wanted = {track.track for person in people for track in person.tracks}
    ticks = cast(Any, iter(CropStream(info, model.spec, detector, wanted, cut)))
    with closing(ticks):
        faces = SeenFaces(people, ticks, looking.ticks / FPS)
        return _written(blank, info, model, faces, people, mux, report)


def _written(
    blank: SeparationResult,
    info: MediaInfo,
    model: Separator,
    faces: Faces,
    people: Sequence[Person],
    mux: bool,
    report: ProgressCallback,
) -> SeparationResult:
    audio, folder = Sound.of(info), Path(blank.output)
    numbers = [person.number for person in people] or [0]
    names = [f"voice_{number}.wav" for number in numbers]
    videos = [_video(blank, number, info) for number in numbers if mux]
    with ExitStack() as stack:
        rest, *voices = (stack.enter_context(replacing(folder / name)) for name in (REST, *names))
        blocks = stack.enter_context(closing(audio.blocks()))
        separated = separate_blocks(model, blocks, audio.rate, faces, -audio.ahead_s * FPS)
        told = _told(separated, audio.rate, info.duration_s, report)
        written = write_audio_files(audio, told, voices, rest)
        if not written.energies[0]:
            raise _NothingHeard
        for voice, video in zip(voices, videos, strict=False):
            beside = stack.enter_context(replacing(video))
            write_replaced_audio(
                Path(info.path), beside, video, voice, info.video_start_s + audio.start_s
            )
    return replace(
        blank,
        status="ok",
        voices=_voices(names, videos, people, written),
        rest=REST,
        sample_rate=audio.rate,
        channels=written.channels,
        start_s=round(audio.start_s, 6),
        duration_s=round(written.samples / audio.rate, 6),
    )


def _video(blank: SeparationResult, number: int, info: MediaInfo) -> Path:
    return Path(blank.output) / f"voice_{number}{Path(info.path).suffix}"


def _voices(
    names: Sequence[str], videos: Sequence[Path], people: Sequence[Person], written: Written
) -> tuple[Voice, ...]:
    voices = []
    for place, name in enumerate(names):
        video = videos[place].name if videos else None
        voice = Voice(None, name, video, written.level_db(place), None, ())
        if people:
            person = people[place]
            voice = replace(voice, number=person.number, box=person.box, seen=person.seen)
        voices.append(voice)
    return tuple(voices)


def _told(
    separated: Iterator[Separated], rate: int, duration_s: float | None, report: ProgressCallback
) -> Iterator[Separated]:
    """Yield the same, the share done being told."""
    samples = 0
    for block in separated:
        samples += block.mixture.shape[1]
        yield block
        if duration_s:
            report(LOOKING + (1 - LOOKING) * min(1.0, samples / rate / duration_s))


def _nobody(share: float) -> None:
    """Report nobody."""
