"""A video of a face and a voice in; the video in which the face says what the voice says out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import torch

from avsync.faces.detector import FaceDetector, find_detector
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_media
from avsync.media.writers.atomic_output import atomic_output, check_destination
from avsync.media.writers.video_writer import (
    NewAudio,
    TimedFrame,
    check_suffix,
    encoder_formats,
    write_video,
)
from avsync.media.yuv import YuvConverter
from avsync.pipelines.check.check_file import DETAILS
from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.separate.people import Person, check_who, chosen, people_of
from avsync.pipelines.talk.audio_tokens import Voice, VoiceTokens
from avsync.pipelines.talk.render import Looked, TalkingFrameRenderer, device_of, look
from avsync.pipelines.talk.result import Speaker, TalkReason, TalkResult
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.tasks.talking.generator import TalkingFace

DEFAULT = "synctalklip"
# The share of the work that looking for faces is.
LOOKING = 0.2
# IPTC's word for frames of which a network has drawn a part.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def talk(
    face: str | Path,
    audio: str | Path,
    output: str | Path,
    *,
    who: str | None = None,
    model: str | TalkingFace = DEFAULT,
    weights: str | Path | None = None,
    detector: str | FaceDetector | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> TalkResult:
    """Write `output`: the video `face` with the audio of `audio`, its mouth drawn to fit.

    Every frame is drawn at its own time by what the voice says then, whatever the rate. The video
    keeps its length: a voice that is longer is cut, and after one that is shorter the mouth is
    silent. Frames without the face stay as they are. The file's metadata say that it was
    generated. Memory grows by some bytes a frame only. A video in which nobody can be told, or
    that cannot be read, is a result with a reason, never an exception.

    Args:
        face: a video, never written to.
        audio: an audio file, or a video whose audio is heard from its first frame on.
        output: the new video, .mp4, .m4v, .mov, .mkv or .webm.
        who: `left`, `right`, a number from 0, counted from the left, or `all`; None where there is
            one face.
        model: the name of a talking model that `avsync models` lists, or a model object in eval
            mode that keeps the contract of a talking task.
        weights: a checkpoint of the named model instead of the released one.
        detector: the face detector, `yunet`, `haar`, an object, or None for the best there is.
        overwrite: replace an existing output, which else is a FileExistsError.
        progress: told the share done, 0 to 1.

    ValueError for arguments out of range, RuntimeError for weights that cannot be used, and for a
    container that the video cannot be written to.
    """
    if who is not None:
        check_who(who)
    target = Path(output)
    check_suffix(target)
    for source in (face, audio):
        check_destination(Path(source), target, overwrite=overwrite)
    name, task = load_talking_face(model, weights)
    report = progress or _nobody
    blank = TalkResult(str(face), str(audio), str(output), "unreadable", None, "", who, name)
    found = find_detector(detector) if detector is None or isinstance(detector, str) else detector
    try:
        info = probe_media(face)
        voice = _voice(audio)
        looked = look(info, found, _part(report, 0.0, LOOKING))
        everyone, reason = people_of(looked.faces())
        blank = replace(
            blank,
            faces=len(everyone),
            pictures=len(looked.times_s),
            duration_s=round(looked.end_s, 6),
            voice_s=round(voice.length_s, 6),
        )
        if reason is not None:
            return replace(blank, status="cannot_tell", reason=reason, detail=DETAILS[reason])
        if doubt := _doubt(everyone, who):
            return replace(blank, status="cannot_tell", reason=doubt[0], detail=doubt[1])
        people = chosen(everyone, who or "all")
        drawn = _written(info, looked, people, (name, task), voice, target, report)
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))
    speakers = [
        Speaker(person.number, person.box, person.seen, count)
        for person, count in zip(people, drawn, strict=True)
    ]
    return replace(blank, status="ok", speakers=tuple(speakers))


def _doubt(everyone: Sequence[Person], who: str | None) -> tuple[TalkReason, str] | None:
    """Why it cannot be told who is meant, and the same in words; None where it can."""
    last = len(everyone) - 1
    if who is None and last:
        which = f"left, right, all, or 0 to {last} from the left"
        return "several_faces", f"there are {last + 1} faces: say whose mouth is to move, {which}"
    if not chosen(everyone, who or "all"):
        return "no_such_face", f"there is no face {who}, only 0 to {last} from the left"
    return None


def load_talking_face(
    model: str | TalkingFace, weights: str | Path | None = None
) -> tuple[str, TalkingFace]:
    """Return the name and the model, loaded once for all videos; on the GPU where there is one."""
    return resolve_model(model, weights, _loaded, ("spec", "encode_speech", "__call__"))


@cache
def _loaded(name: str, weights: str | None) -> TalkingFace:
    row = model_card(name, "talking")
    if weights is None:
        raise RuntimeError(
            f"avsync ships no weights of {name}: train your own with `avsync train {row.train}` "
            "and name the file (--weights FILE)"
        )
    try:
        task = create_model(name, weights=weights)
    except (ValueError, TypeError) as error:
        # The config of another model: this one's has no such fields, or others in their place.
        raise RuntimeError(f"{weights} holds no weights of {name}: {error}") from error
    task.to("cuda" if torch.cuda.is_available() else "cpu")
    return cast(TalkingFace, task)


def marks(model: str) -> dict[str, str]:
    """Return what is written into a file's metadata to say that it was generated."""
    made = f"avsync talk, model {model}"
    return {
        "comment": f"Generated video: what the mouth says was made by a network ({made}).",
        "generated_by": made,
        "digital_source_type": SOURCE_TYPE,
    }


def _voice(audio: str | Path) -> Voice:
    try:
        return Voice.of(str(audio))
    except UnreadableMedia as error:
        # The result is that of the video: the words must say which of the two files is meant.
        raise UnreadableMedia(error.reason, f"the voice, {audio}: {error}") from error


def _written(
    info: MediaInfo,
    looked: Looked,
    people: list[Person],
    model: tuple[str, TalkingFace],
    voice: Voice,
    target: Path,
    report: ProgressCallback,
) -> list[int]:
    """Write the video; how many frames of each person were drawn."""
    name, task = model
    audio = NewAudio(voice.path, voice.origin_s, looked.end_s)
    with (
        atomic_output(target) as partial,
        closing(VoiceTokens(task, voice, device_of(task))) as heard,
    ):
        formats, odd = encoder_formats(target)
        talking = TalkingFrameRenderer(
            info, looked, people, task, heard, YuvConverter(formats, odd)
        )
        told = _told(talking, looked.end_s, _part(report, LOOKING, 1.0))
        write_video(Path(info.path), partial, target, told, audio, marks(name))
    return talking.drawn


def _told(
    frames: Iterable[TimedFrame], end_s: float, report: ProgressCallback
) -> Iterator[TimedFrame]:
    """Yield the same, the share done being told."""
    for frame in frames:
        yield frame
        report(min(1.0, frame.time_s / end_s))


def _part(report: ProgressCallback, start: float, end: float) -> ProgressCallback:
    return lambda share: report(start + (end - start) * share)


def _nobody(share: float) -> None:
    """Report nobody."""
