"""Prepare one video: crops of each face in it, and the audio that belongs to them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avsync.data.corpora.listing import TimeRange
from avsync.data.store.reader import CROP_SIZE, HEAD_SIZE, OptionalCrop, clip_id, samples_in
from avsync.data.store.records import ClipInfo, Rejection, SourceRecord
from avsync.data.store.writer import GrowingArray, SourceWriter
from avsync.faces.crops import cut_face, cut_head, cut_mouth
from avsync.faces.detector import FaceDetector
from avsync.faces.mesh_regions import cut_region, region_from_points
from avsync.faces.tracking import TrackedFace, follow_faces
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_media
from avsync.media.video_reader import at_rate, read_frames
from avsync.timing import FPS, SAMPLE_RATE

# Frames are read no larger than this: a face that is smaller than its crop in a frame of this
# size has little detail to lose.
MAX_SIDE = 1280
# A clip whose audio never gets this loud (-60 dB of full scale) is silent.
SILENCE_PEAK = 1e-3
NO_VALID_PART = ("no_valid_part", "the lists name no valid part of it")


class PrepareRules(NamedTuple):
    """Which faces become clips, the name of the detector, and which further crops are stored.

    `crops` are in the order of `OPTIONAL`.
    """

    detector: str
    min_face_px: float
    min_duration_s: float
    crops: tuple[OptionalCrop, ...] = ()


def prepare_file(
    path: Path,
    name: str,
    writer: SourceWriter,
    detector: FaceDetector,
    rules: PrepareRules,
    segments: Sequence[TimeRange] | None = None,
) -> SourceRecord:
    """Write the arrays of each clip in a video, and return its record of clips and rejections.

    Args:
        path: the video.
        name: its name in the store.
        writer: writes the clips.
        detector: detects the faces.
        rules: which faces become clips.
        segments: `(start_s, end_s)` of the valid parts, from each of which clips are cut
            separately; None for the whole video.

    Raises:
        UnreadableMedia: the file cannot be used at all.
    """
    info = probe_media(path)
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio stream")
    if segments is not None and not segments:
        return SourceRecord(name, rejected=(Rejection(name, *NO_VALID_PART),))
    tracks, without_face = _write_faces(path, info, writer, detector, rules, segments)
    clips: list[ClipInfo] = []
    rejected: list[Rejection] = []
    kept = []
    for track in tracks:
        track.close()
        if flaw := track.flaw(rules):
            rejected.append(track.rejection(name, *flaw))
            writer.drop(track.number)
        else:
            kept.append(track)
    if segments is None and not tracks:
        rejected.append(Rejection(name, "no_face", "no face was found in any frame"))
    for start_s, end_s in without_face:
        detail = f"no face was found from {start_s:g} to {end_s:g} s"
        rejected.append(Rejection(name, "no_face", detail, None, start_s, end_s - start_s))
    peaks = _write_audio(path, info, kept, writer)
    for track, peak in zip(kept, peaks, strict=True):
        if peak < SILENCE_PEAK:
            detail = "the audio is silent while the face is there"
            rejected.append(track.rejection(name, "silence", detail))
            writer.drop(track.number)
        else:
            identifier = clip_id(writer.key, track.number)
            clips.append(track.describe(identifier, name, info.audio[0].sample_rate))
    return SourceRecord(name, tuple(clips), tuple(rejected))


class _TrackWriter:
    """Writer of the arrays of one face while its video is read.

    Args:
        number: the track's.
        start: index of its first tick.
        writer: creates the arrays.
        scale: pixels of the source to one of the frames that are read.
        crops: crops to store besides face and mouth.
    """

    def __init__(
        self,
        number: int,
        start: int,
        writer: SourceWriter,
        scale: float,
        crops: Sequence[OptionalCrop],
    ) -> None:
        self.number, self.start, self.scale = number, start, scale
        self.frames = 0
        self.widths: list[float] = []
        self.scores: list[float] = []
        names = ["face", "mouth", "boxes", "points", *crops]
        self.arrays: dict[str, GrowingArray] = {name: writer.array(number, name) for name in names}

    def add(self, image: np.ndarray, face: TrackedFace) -> None:
        self.arrays["face"].append(cut_face(image, face.box, CROP_SIZE)[None])
        self.arrays["mouth"].append(cut_mouth(image, face.points, CROP_SIZE)[None])
        if "head" in self.arrays:
            self.arrays["head"].append(cut_head(image, face.box, HEAD_SIZE)[None])
        if "mesh" in self.arrays:
            region = region_from_points(face.points)
            self.arrays["mesh"].append(cut_region(image, region)[None])
        self.arrays["boxes"].append(self.scale * face.box[None])
        self.arrays["points"].append(self.scale * face.points[None])
        self.scores.append(face.score)
        if face.score > 0:
            self.frames = len(self.scores)
            self.widths.append(self.scale * float(face.box[2] - face.box[0]))

    def close(self) -> None:
        """End the arrays at the last detection: where the track was only held, no face is seen."""
        for array in self.arrays.values():
            array.cut(self.frames)
            array.close()

    def flaw(self, rules: PrepareRules) -> tuple[str, str] | None:
        """Return the reason, and in words, why the track is rejected; None if it is not."""
        if not self.frames or self.frames / FPS < rules.min_duration_s:
            return "too_short", f"the face is there for less than {rules.min_duration_s:g} s"
        if self.face_px < rules.min_face_px:
            return "face_too_small", f"the face is {self.face_px:.0f} pixels wide"
        return None

    @property
    def face_px(self) -> float:
        return float(np.median(self.widths))

    def describe(self, identifier: str, source: str, sample_rate: int) -> ClipInfo:
        return ClipInfo(
            id=identifier,
            source=source,
            speaker=Path(source).parent.name,
            track=self.number,
            start_s=self.start / FPS,
            frames=self.frames,
            face_px=round(self.face_px, 1),
            score=round(float(np.mean(self.scores[: self.frames])), 3),
            sample_rate=sample_rate,
        )

    def rejection(self, source: str, reason: str, detail: str) -> Rejection:
        start_s, duration_s = self.start / FPS, self.frames / FPS
        return Rejection(source, reason, detail, self.number, start_s, duration_s)


def _write_faces(
    path: Path,
    info: MediaInfo,
    writer: SourceWriter,
    detector: FaceDetector,
    rules: PrepareRules,
    segments: Sequence[TimeRange] | None,
) -> tuple[list[_TrackWriter], list[TimeRange]]:
    """Return the tracks of all faces, and the segments without any."""
    ranges = None if segments is None else [_ticks(segment) for segment in segments]
    last = None if ranges is None else max(ticks.stop for ticks in ranges)
    # A face that stays from one segment to the next is a track in each.
    tracks: dict[tuple[int, int], _TrackWriter] = {}
    for tick in follow_faces(at_rate(read_frames(path, MAX_SIDE), FPS), detector):
        if last is not None and tick.index >= last:
            break
        segment = 0
        if ranges is not None:
            segment = next((i for i, ticks in enumerate(ranges) if tick.index in ticks), -1)
        scale = info.width / tick.image.shape[1]
        for face in tick.faces if segment >= 0 else ():
            if (segment, face.track) not in tracks:
                number = face.track if segments is None else len(tracks)
                track = _TrackWriter(number, tick.index, writer, scale, rules.crops)
                tracks[segment, face.track] = track
            tracks[segment, face.track].add(tick.image, face)
    with_face = {segment for segment, _ in tracks}
    without_face = [part for i, part in enumerate(segments or ()) if i not in with_face]
    return list(tracks.values()), without_face


def _ticks(segment: TimeRange) -> range:
    """Return the ticks that lie wholly inside a segment."""
    return range(math.ceil(segment[0] * FPS - 1e-6), math.floor(segment[1] * FPS + 1e-6))


def _write_audio(
    path: Path, info: MediaInfo, tracks: list[_TrackWriter], writer: SourceWriter
) -> list[float]:
    """Write each track's audio at 16 kHz and at the source's rate; return the peak of each."""
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
                part = block[max(0, begins[i] - position) : max(0, ends[i] - position)]
                array.append(part)
                peaks[i] = max(peaks[i], float(np.abs(part).max(initial=0)))
            position += len(block)
            if position >= max(ends):
                break
        for array, length in zip(arrays, lengths, strict=True):
            array.append(np.zeros(length - array.length, np.float32))
            array.close()
    return peaks
