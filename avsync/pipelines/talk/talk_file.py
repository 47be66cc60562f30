"""Generate a talking face: a video whose mouth follows other speech."""

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
from avsync.pipelines.check.stream_decision import DETAILS
from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.separate.people import (
    PersonTracks,
    check_who,
    choose_people,
    find_people,
)
from avsync.pipelines.talk.audio_tokens import SpeechSource, SpeechTokens
from avsync.pipelines.talk.render import TalkingFrameRenderer
from avsync.pipelines.talk.result import Speaker, TalkReason, TalkResult
from avsync.pipelines.talk.video_tracks import TrackedVideo, track_video
from avsync.scoring.embeddings import device_and_dtype
from avsync.tasks.registry import create_model, model_card, resolve_model
from avsync.tasks.talking.generator import TalkingFace

DEFAULT_MODEL = "synctalklip"
# Share of the work that face tracking takes.
TRACKING_SHARE = 0.2
# IPTC's term for media in which a network has generated a part.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def talk(
    face: str | Path,
    audio: str | Path,
    output: str | Path,
    *,
    who: str | None = None,
    model: str | TalkingFace = DEFAULT_MODEL,
    weights: str | Path | None = None,
    detector: str | FaceDetector | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> TalkResult:
    """Write a video of `face` in which the mouth follows the speech in `audio`.

    Each frame is conditioned on the speech at its own time, at any frame rate. The video keeps its
    length: longer speech is cut, and after shorter speech the mouth is silent. Frames without the
    face are unchanged. The file's metadata say that it was generated. Memory grows by some bytes
    per frame only.

    Args:
        face: a video, never written to.
        audio: an audio file, or a video whose audio is used from its first frame on.
        output: the new video, .mp4, .m4v, .mov, .mkv or .webm.
        who: `left`, `right`, an index from 0, from the left, or `all`; None if there is one face.
        model: the name of a talking model that `avsync models` lists, or a talking task as an
            object in eval mode.
        weights: a checkpoint of the named model instead of the released one.
        detector: the face detector: `yunet`, `haar`, an object, or None for YuNet.
        overwrite: replace an existing output.
        progress: called with the share done, 0 to 1.

    Returns:
        The result. A video that cannot be read, or without the requested face, is a result with a
        reason, never an exception.

    Raises:
        ValueError: for arguments out of range.
        FileExistsError: if `output` exists and `overwrite` is not set.
        RuntimeError: for weights that cannot be used, and for a container that the video cannot be
            written to.
    """
    if who is not None:
        check_who(who)
    target = Path(output)
    check_suffix(target)
    for source in (face, audio):
        check_destination(Path(source), target, overwrite=overwrite)
    name, task = load_talking_face(model, weights)
    report = progress or _no_progress
    blank = TalkResult(str(face), str(audio), str(output), "unreadable", None, "", who, name)
    if detector is None or isinstance(detector, str):
        detector = find_detector(detector)
    try:
        info = probe_media(face)
        speech = _speech(audio)
        tracked = track_video(info, detector, _part(report, 0.0, TRACKING_SHARE))
        everyone, reason = find_people(tracked.faces())
        blank = replace(
            blank,
            faces=len(everyone),
            pictures=len(tracked.times_s),
            duration_s=round(tracked.end_s, 6),
            voice_s=round(speech.length_s, 6),
        )
        if reason is not None:
            return replace(blank, status="cannot_tell", reason=reason, detail=DETAILS[reason])
        if ambiguity := _ambiguity(everyone, who):
            return replace(blank, status="cannot_tell", reason=ambiguity[0], detail=ambiguity[1])
        people = choose_people(everyone, who or "all")
        named = (name, task)
        drawn = _write_output(info, tracked, people, named, speech, target, report, overwrite)
    except UnreadableMedia as error:
        return replace(blank, reason=error.reason, detail=str(error))
    speakers = [
        Speaker(person.number, person.box, person.seen, count)
        for person, count in zip(people, drawn, strict=True)
    ]
    return replace(blank, status="ok", speakers=tuple(speakers))


def _ambiguity(everyone: Sequence[PersonTracks], who: str | None) -> tuple[TalkReason, str] | None:
    """Return why `who` selects nobody, as a reason and a sentence; None if it selects someone."""
    last = len(everyone) - 1
    if who is None and last:
        which = f"left, right, all, or 0 to {last} from the left"
        return "several_faces", f"there are {last + 1} faces: say whose mouth is to move, {which}"
    if not choose_people(everyone, who or "all"):
        return "no_such_face", f"there is no face {who}, only 0 to {last} from the left"
    return None


def load_talking_face(
    model: str | TalkingFace, weights: str | Path | None = None
) -> tuple[str, TalkingFace]:
    """Return name and task of a talking model, loaded once and on the GPU where there is one.

    Args:
        model: a name that `avsync models` lists, or a task object, returned as it is.
        weights: a checkpoint of the named model.

    Raises:
        RuntimeError: if a named model ships no weights and none are given, or if the file holds
            weights of another model.
    """
    return resolve_model(model, weights, _loaded, ("spec", "encode_speech", "__call__"))


@cache
def _loaded(name: str, weights: str | None) -> TalkingFace:
    card = model_card(name, "talking")
    if weights is None:
        raise RuntimeError(
            f"avsync ships no weights of {name}: train your own with `avsync train {card.train}` "
            "and name the file (--weights FILE)"
        )
    task = create_model(name, weights=weights)
    task.to("cuda" if torch.cuda.is_available() else "cpu")
    return cast(TalkingFace, task)


def generated_metadata(model: str) -> dict[str, str]:
    """Return the metadata that mark a file as generated."""
    generator = f"avsync talk, model {model}"
    return {
        "comment": f"Generated video: what the mouth says was made by a network ({generator}).",
        "generated_by": generator,
        "digital_source_type": SOURCE_TYPE,
    }


def _speech(audio: str | Path) -> SpeechSource:
    try:
        return SpeechSource.from_file(str(audio))
    except UnreadableMedia as error:
        # The result is that of the video: the message must say which of the two files is meant.
        raise UnreadableMedia(error.reason, f"the speech, {audio}: {error}") from error


def _write_output(
    info: MediaInfo,
    tracked: TrackedVideo,
    people: list[PersonTracks],
    model: tuple[str, TalkingFace],
    speech: SpeechSource,
    target: Path,
    report: ProgressCallback,
    overwrite: bool,
) -> list[int]:
    """Write the video and return the number of frames generated of each person."""
    name, task = model
    audio = NewAudio(speech.path, speech.origin_s, tracked.end_s)
    device = device_and_dtype(task).device
    with (
        atomic_output(target, overwrite=overwrite) as unfinished,
        closing(SpeechTokens(task, speech, device)) as tokens,
    ):
        formats, odd = encoder_formats(target)
        converter = YuvConverter(formats, odd)
        renderer = TalkingFrameRenderer(info, tracked, people, task, tokens, converter)
        frames = _with_progress(renderer, tracked.end_s, _part(report, TRACKING_SHARE, 1.0))
        write_video(Path(info.path), unfinished, target, frames, audio, generated_metadata(name))
    return renderer.drawn


def _with_progress(
    frames: Iterable[TimedFrame], end_s: float, report: ProgressCallback
) -> Iterator[TimedFrame]:
    """Yield the same frames and report the share done."""
    for frame in frames:
        yield frame
        report(min(1.0, frame.time_s / end_s))


def _part(report: ProgressCallback, start: float, end: float) -> ProgressCallback:
    return lambda share: report(start + (end - start) * share)


def _no_progress(share: float) -> None:
    """Ignore the share done."""
