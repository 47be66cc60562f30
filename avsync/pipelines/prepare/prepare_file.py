"""One video to prepared clips: a row of crops for each face, and the audio that goes with it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avsync.data.corpora.listing import Span
from avsync.data.store.reader import CROP_SIZE, HEAD_SIZE, clip_id, samples_in
from avsync.data.store.writer import GrowingArray, SourceWriter
from avsync.faces.crops import cut_face, cut_head, cut_mouth
from avsync.faces.detector import FaceDetector
from avsync.faces.tracking import TrackedFace, follow_faces
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe
from avsync.media.video_reader import at_rate, read_frames
from avsync.timing import FPS, SAMPLE_RATE

# Frames are read no larger than this: a face that is smaller than its crop in a frame of this
# size has little detail to lose.
MAX_SIDE = 1280
# A clip whose audio never gets this loud (-60 dB of full scale) is silent.
SILENCE_PEAK = 1e-3
NO_SPAN = ("no_valid_part", "the lists name no valid part of it")


class Rules(NamedTuple):
    """What a clip must be to be kept, who finds the faces, and whether heads are cut as well."""

    detector: str
    min_face_px: float
    min_duration_s: float
    head: bool = False


def prepare_file(
    path: Path,
    name: str,
    writer: SourceWriter,
    detector: FaceDetector,
    rules: Rules,
    spans: Sequence[Span] | None = None,
) -> dict[str, Any]:
    """Write the arrays of each clip in a video; the record has a row for each, and each rejection.

    Args:
        path: the video.
        name: its name in the store.
        writer: where the clips go.
        detector: finds the faces.
        rules: what a clip must be.
        spans: `(start_s, end_s)` of the parts that clips are cut from, each on its own; None stands
            for the whole video.

    UnreadableMedia where the file cannot be used at all.
    """
    info = probe(path)
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio stream")
    if spans is not None and not spans:
        return {"source": name, "clips": [], "rejected": [rejection(name, *NO_SPAN)]}
    tracks, unseen = _write_faces(path, info, writer, detector, rules, spans)
    record: dict[str, Any] = {"source": name, "clips": [], "rejected": []}
    kept = []
    for track in tracks:
        track.close()
        if reason := track.flaw(rules):
            record["rejected"].append(rejection(name, *reason, track))
            writer.drop(track.number)
        else:
            kept.append(track)
    if spans is None and not tracks:
        record["rejected"].append(rejection(name, "no_face", "no face was found in any frame"))
    for start_s, end_s in unseen:
        where = f"no face was found from {start_s:g} to {end_s:g} s"
        row = rejection(name, "no_face", where)
        record["rejected"].append(row | {"start_s": start_s, "duration_s": end_s - start_s})
    peaks = _write_sound(path, info, kept, writer)
    for track, peak in zip(kept, peaks, strict=True):
        if peak < SILENCE_PEAK:
            record["rejected"].append(
                rejection(name, "silence", "the audio is silent while the face is there", track)
            )
            writer.drop(track.number)
        else:
            row = track.row(name, info.audio[0].sample_rate)
            record["clips"].append({"id": clip_id(writer.key, track.number), **row})
    return record


class _Track:
    """The arrays of one face while its video is read.

    Args:
        number: the track's.
        start: index of its first tick.
        writer: where the arrays go.
        scale: pixels of the source to one of the frames that are read.
        head: cut the head as well.
    """

    def __init__(
        self, number: int, start: int, writer: SourceWriter, scale: float, head: bool
    ) -> None:
        self.number, self.start, self.scale = number, start, scale
        self.frames = 0
        self.widths: list[float] = []
        self.scores: list[float] = []
        names = ["face", "mouth", "boxes", "points", *(["head"] if head else [])]
        self.arrays: dict[str, GrowingArray] = {name: writer.array(number, name) for name in names}

    def add(self, image: np.ndarray, face: TrackedFace) -> None:
        self.arrays["face"].append(cut_face(image, face.box, CROP_SIZE)[None])
        self.arrays["mouth"].append(cut_mouth(image, face.points, CROP_SIZE)[None])
        if "head" in self.arrays:
            self.arrays["head"].append(cut_head(image, face.box, HEAD_SIZE)[None])
        self.arrays["boxes"].append(self.scale * face.box[None])
        self.arrays["points"].append(self.scale * face.points[None])
        self.scores.append(face.score)
        if face.score > 0:
            self.frames = len(self.scores)
            self.widths.append(self.scale * float(face.box[2] - face.box[0]))

    def close(self) -> None:
        """End the arrays where the face was last seen: what was held after that shows no face."""
        for array in self.arrays.values():
            array.cut(self.frames)
            array.close()

    def flaw(self, rules: Rules) -> tuple[str, str] | None:
        if not self.frames or self.frames / FPS < rules.min_duration_s:
            return "too_short", f"the face is there for less than {rules.min_duration_s:g} s"
        if self.face_px < rules.min_face_px:
            return "face_too_small", f"the face is {self.face_px:.0f} pixels wide"
        return None

    @property
    def face_px(self) -> float:
        return float(np.median(self.widths))

    def row(self, source: str, sample_rate: int) -> dict[str, Any]:
        return {
            "source": source,
            "speaker": Path(source).parent.name,
            "track": self.number,
            "start_s": self.start / FPS,
            "duration_s": self.frames / FPS,
            "frames": self.frames,
            "fps": FPS,
            "face_px": round(self.face_px, 1),
            "score": round(float(np.mean(self.scores[: self.frames])), 3),
            "sample_rate": sample_rate,
        }


def _write_faces(
    path: Path,
    info: MediaInfo,
    writer: SourceWriter,
    detector: FaceDetector,
    rules: Rules,
    spans: Sequence[Span] | None,
) -> tuple[list[_Track], list[Span]]:
    """Return the tracks of all faces, and the spans in which there is none."""
    ticks = None if spans is None else [_ticks(span) for span in spans]
    last = None if ticks is None else max(span.stop for span in ticks)
    # A face that stays from one span to the next is a track in each.
    tracks: dict[tuple[int, int], _Track] = {}
    for tick in follow_faces(at_rate(read_frames(path, MAX_SIDE), FPS), detector):
        if last is not None and tick.index >= last:
            break
        span = 0 if ticks is None else next((i for i, s in enumerate(ticks) if tick.index in s), -1)
        scale = info.width / tick.image.shape[1]
        for face in tick.faces if span >= 0 else ():
            if (span, face.track) not in tracks:
                number = face.track if spans is None else len(tracks)
                track = _Track(number, tick.index, writer, scale, rules.head)
                tracks[span, face.track] = track
            tracks[span, face.track].add(tick.image, face)
    seen = {span for span, _ in tracks}
    unseen = [span for place, span in enumerate(spans or ()) if place not in seen]
    return list(tracks.values()), unseen


def _ticks(span: Span) -> range:
    """Return the ticks that lie wholly inside a span."""
    return range(math.ceil(span[0] * FPS - 1e-6), math.floor(span[1] * FPS + 1e-6))


def _write_sound(
    path: Path, info: MediaInfo, tracks: list[_Track], writer: SourceWriter
) -> list[float]:
    """Write each track's audio at 16 kHz and at the source's rate; how loud each gets."""
    peaks = [0.0 for _ in tracks]
    source_rate = info.audio[0].sample_rate
    for name, rate in (("wav_16k", SAMPLE_RATE), ("wav", source_rate)) if tracks else ():
        arrays = [writer.array(track.number, name) for track in tracks]
        begins = [track.start * rate // FPS for track in tracks]
        lengths = [samples_in(track.frames, rate) for track in tracks]
        ends = [begin + length for begin, length in zip(begins, lengths, strict=True)]
        position = 0
        for block in read_audio(path, info.video_start_s, rate):
            for i, array in enumerate(arrays):
                piece = block[max(0, begins[i] - position) : max(0, ends[i] - position)]
                array.append(piece)
                peaks[i] = max(peaks[i], float(np.abs(piece).max(initial=0)))
            position += len(block)
            if position >= max(ends):
                break
        for array, length in zip(arrays, lengths, strict=True):
            array.append(np.zeros(length - array.length, np.float32))
            array.close()
    return peaks


def rejection(source: str, reason: str, detail: str, track: _Track | None = None) -> dict[str, Any]:
    """Return a row of `rejected.csv`, for a track or, without one, for the whole file."""
    row: dict[str, Any] = {"source": source, "reason": reason, "detail": detail}
    if track is not None:
        row |= {"track": track.number, "start_s": track.start / FPS}
        row |= {"duration_s": track.frames / FPS}
    return row
