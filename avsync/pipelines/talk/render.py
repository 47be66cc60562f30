"""The frames of a video with the lower halves of chosen faces drawn anew, window by window."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from avsync.encoders.face_pyramid import SIZE
from avsync.faces.compositing import composite_face
from avsync.faces.crops import cut_face
from avsync.faces.detector import FaceDetector
from avsync.faces.tracking import follow_faces
from avsync.media.probe import MediaInfo
from avsync.media.video_reader import DecodedVideoFrame, Tick, read_decoded_frames, read_frames
from avsync.media.writers.video_writer import TimedFrame
from avsync.media.yuv import YuvConverter
from avsync.pipelines.crop_stream import MAX_SIDE
from avsync.pipelines.progress import ProgressCallback
from avsync.pipelines.separate.people import Person
from avsync.pipelines.talk.audio_tokens import VoiceTokens
from avsync.scoring.decision import TrackExtent
from avsync.tasks.talking.generator import FRAMES_PER_PASS, TalkingFace, face_pair
from avsync.timing import FPS

# Frames are looked at in this size: no detector looks at more pixels, and it costs less.
LOOK_SIDE = 640


class Looked(NamedTuple):
    """What was seen of a video: when its frames are shown `(P,)`, in seconds from the first, for
    how long `(P,)`, and the faces in them by track.
    """

    times_s: np.ndarray
    shown_s: np.ndarray
    tracks: Mapping[int, "Boxes"]
    size: tuple[int, int]

    @property
    def end_s(self) -> float:
        """When the last frame has been shown."""
        return float(self.times_s[-1] + self.shown_s[-1])

    def faces(self) -> dict[int, TrackExtent]:
        """Return each face with its median box in pixels of the upright frame."""
        return {number: self._face(number, boxes) for number, boxes in self.tracks.items()}

    def _face(self, number: int, boxes: "Boxes") -> TrackExtent:
        last = boxes.first + len(boxes) - 1
        end_s = float(self.times_s[last] + self.shown_s[last])
        box = boxes.median() * np.array([*self.size, *self.size])
        x0, y0, x1, y1 = box.tolist()
        return TrackExtent(number, float(self.times_s[boxes.first]), end_s, (x0, y0, x1, y1))


class Boxes:
    """The boxes of one track, from the frame `first` on: 16 bytes a frame.

    Boxes are x0, y0, x1, y1 in shares of the frame's width and height.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self._values = array("f")

    def __len__(self) -> int:
        return len(self._values) // 4

    def add(self, number: int, box: np.ndarray) -> None:
        """The box in a frame that comes after all others."""
        missing = number - self.first - len(self)
        self._values.extend([np.nan] * (4 * missing))
        self._values.extend(box.tolist())

    def at(self, number: int) -> np.ndarray | None:
        """Return the box `(4,)` in a frame; None where the face is not seen."""
        place = 4 * (number - self.first)
        box = np.array(self._values[place : place + 4] if place >= 0 else [])
        return None if not len(box) or np.isnan(box).any() else box

    def median(self) -> np.ndarray:
        median: np.ndarray = np.nanmedian(np.array(self._values).reshape(-1, 4), axis=0)
        return median


def look(info: MediaInfo, detector: FaceDetector, report: ProgressCallback) -> Looked:
    """Follow the faces of a video through every frame.

    Args:
        info: the video.
        detector: finds the faces in some of the frames, as many a second as in `check`.
        report: told the share done.
    """
    times, tracks = array("d"), dict[int, Boxes]()
    stride = max(1, round(detector.stride * (info.fps or FPS) / FPS))
    for number, time_s, image, faces in follow_faces(_ticks(info, times), detector, stride):
        size = np.array(image.shape[1::-1] * 2)
        for face in faces:
            # A score of 0 marks a face that was lost and is held where it was: nothing to draw.
            if face.score > 0:
                tracks.setdefault(face.track, Boxes(number)).add(number, face.box / size)
        if info.duration_s and number % FPS == 0:
            report(min(1.0, time_s / info.duration_s))
    times_s = np.array(times) - times[0]
    usual_s = 1 / (info.fps or FPS)
    gaps_s = np.diff(times_s)
    shown_s = np.append(gaps_s, min(gaps_s[-1], usual_s) if len(gaps_s) else usual_s)
    return Looked(times_s, shown_s, tracks, (info.width, info.height))


def _ticks(info: MediaInfo, times: "array[float]") -> Iterator[Tick]:
    """Yield each frame as a tick of its own; its time goes into `times`."""
    for number, frame in enumerate(read_frames(info.path, LOOK_SIDE)):
        times.append(frame.time_s)
        yield Tick(number, frame.time_s - times[0], frame.image)


# Frames that wait for their faces take no more than this.
WINDOW_BYTES = 256_000_000
# Bytes of a pixel: 10 bits of luma and half as much colour.
PIXEL_BYTES = 3


class TalkingFrameRenderer:
    """The frames of a video in which people say what a voice says, once, in order.

    Frames in which nobody of them is seen stay as they are.

    Args:
        info: the video.
        looked: where its faces are.
        people: who talks.
        model: draws them.
        voice: what the model hears.
        painter: makes frames of decoded frames.
    """

    def __init__(
        self,
        info: MediaInfo,
        looked: Looked,
        people: Sequence[Person],
        model: TalkingFace,
        voice: VoiceTokens,
        painter: YuvConverter,
    ) -> None:
        self.info, self.looked, self.people = info, looked, people
        self.model, self.voice, self.painter = model, voice, painter
        # How many frames of each were drawn so far.
        self.drawn = [0] * len(people)
        self._first_crops: dict[int, Tensor] = {}

    def __iter__(self) -> Iterator[TimedFrame]:
        count = WINDOW_BYTES // (PIXEL_BYTES * self.info.width * self.info.height)
        with closing(read_decoded_frames(self.info.path, MAX_SIDE)) as decoded:
            frames = enumerate(decoded)
            while window := list(islice(frames, max(1, min(FRAMES_PER_PASS, count)))):
                shown: list[TimedFrame] = []
                faces: list[_Face] = []
                for number, frame in window:
                    faces += self._faces(number, len(shown), frame)
                    since_s = frame.time_s - self.info.video_start_s
                    shown.append(TimedFrame(since_s, self.painter(frame.frame)))
                window.clear()
                self._draw(faces, shown)
                yield from shown

    def _faces(self, number: int, place: int, frame: DecodedVideoFrame) -> list["_Face"]:
        """Return the faces to draw in a frame, cut out of it."""
        found = [
            (person, track.track, box)
            for person, each in enumerate(self.people)
            for track in each.tracks[::-1]
            if (box := self.looked.tracks[track.track].at(number)) is not None
        ]
        if not found and number:
            return []
        # The first frame's size holds for all, whether or not there is a face in it.
        image = frame.rgb()
        faces: dict[int, _Face] = {}
        for person, track, box in found:
            crop = cut_face(image, box * np.array(image.shape[1::-1] * 2), SIZE)
            pose = torch.from_numpy(crop).permute(2, 0, 1).float() / 255
            # Of two tracks of one place the later one is drawn.
            identity = self._first_crops.setdefault(track, pose)
            faces.setdefault(person, _Face(place, person, box, pose, identity, self._hears(number)))
        return list(faces.values())

    def _hears(self, number: int) -> float:
        """When the frame of 1/25 s begins that a frame hears: in the middle of both the frame
        is shown; one that stands for longer says what is heard as it comes.
        """
        shown_s = min(float(self.looked.shown_s[number]), 1 / FPS)
        return float(self.looked.times_s[number]) + (shown_s - 1 / FPS) / 2

    @torch.inference_mode()
    def _draw(self, faces: Sequence["_Face"], shown: Sequence[TimedFrame]) -> None:
        device = device_of(self.model)
        for start in range(0, len(faces), FRAMES_PER_PASS):
            some = faces[start : start + FRAMES_PER_PASS]
            tokens = self.voice.at([face.hears_s for face in some])
            pairs = face_pair(
                torch.stack([face.pose for face in some]),
                torch.stack([face.identity for face in some]),
            )
            made = self.model(tokens, pairs.to(device)).float().cpu().numpy()
            for face, drawn in zip(some, made, strict=True):
                composite_face(shown[face.place].frame, drawn, face.box)
                self.drawn[face.person] += 1


class _Face(NamedTuple):
    """A face in the frame at a `place` in the window, and what it is drawn by."""

    place: int
    person: int
    box: np.ndarray
    pose: Tensor
    identity: Tensor
    hears_s: float


def device_of(model: TalkingFace) -> torch.device:
    """Return where a model is; what is no module is on the CPU."""
    if isinstance(model, nn.Module):
        return next(model.parameters()).device
    return torch.device("cpu")
