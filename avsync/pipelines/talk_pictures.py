"""The pictures of a film with the lower halves of chosen faces drawn anew, window by window."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from avsync.encoders.face_pyramid import SIZE
from avsync.media.crops import cut_face
from avsync.media.new_film import TimedPicture
from avsync.media.paste import paste_face
from avsync.media.planes import Painter
from avsync.media.probe import MediaInfo
from avsync.media.video import DecodedVideoFrame, read_decoded
from avsync.pipelines.face_crops import MAX_SIDE
from avsync.pipelines.separate_faces import Person
from avsync.pipelines.talk_faces import Looked
from avsync.pipelines.talk_voice import VoiceTokens
from avsync.tasks.talking_face import DRAWN, TalkingFace, face_pair
from avsync.timing import FPS

# Pictures that wait for their faces take no more than this.
WINDOW_BYTES = 256_000_000
# Bytes of a pixel: 10 bits of luma and half as much colour.
PIXEL_BYTES = 3


class TalkingPictures:
    """The pictures of a film in which people say what a voice says, once, in order.

    Pictures in which nobody of them is seen stay as they are.

    Args:
        info: the film.
        looked: where its faces are.
        people: who talks.
        model: draws them.
        voice: what the model hears.
        painter: makes pictures of decoded frames.
    """

    def __init__(
        self,
        info: MediaInfo,
        looked: Looked,
        people: Sequence[Person],
        model: TalkingFace,
        voice: VoiceTokens,
        painter: Painter,
    ) -> None:
        self.info, self.looked, self.people = info, looked, people
        self.model, self.voice, self.painter = model, voice, painter
        # How many pictures of each were drawn so far.
        self.drawn = [0] * len(people)
        self._first_crops: dict[int, Tensor] = {}

    def __iter__(self) -> Iterator[TimedPicture]:
        count = WINDOW_BYTES // (PIXEL_BYTES * self.info.width * self.info.height)
        with closing(read_decoded(self.info.path, MAX_SIDE)) as decoded:
            frames = enumerate(decoded)
            while window := list(islice(frames, max(1, min(DRAWN, count)))):
                shown: list[TimedPicture] = []
                faces: list[_Face] = []
                for number, frame in window:
                    faces += self._faces(number, len(shown), frame)
                    since_s = frame.time_s - self.info.video_start_s
                    shown.append(TimedPicture(since_s, self.painter(frame.frame)))
                window.clear()
                self._draw(faces, shown)
                yield from shown

    def _faces(self, number: int, place: int, frame: DecodedVideoFrame) -> list["_Face"]:
        """The faces to draw in a picture, cut out of it."""
        found = [
            (person, track.track, box)
            for person, each in enumerate(self.people)
            for track in each.tracks[::-1]
            if (box := self.looked.tracks[track.track].at(number)) is not None
        ]
        if not found and number:
            return []
        # The first picture's size holds for all, whether or not there is a face in it.
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
        """When the frame of 1/25 s begins that a picture hears: in the middle of both the picture
        is shown; one that stands for longer says what is heard as it comes.
        """
        shown_s = min(float(self.looked.shown_s[number]), 1 / FPS)
        return float(self.looked.times_s[number]) + (shown_s - 1 / FPS) / 2

    @torch.inference_mode()
    def _draw(self, faces: Sequence["_Face"], shown: Sequence[TimedPicture]) -> None:
        device = device_of(self.model)
        for start in range(0, len(faces), DRAWN):
            some = faces[start : start + DRAWN]
            tokens = self.voice.at([face.hears_s for face in some])
            pairs = face_pair(
                torch.stack([face.pose for face in some]),
                torch.stack([face.identity for face in some]),
            )
            made = self.model(tokens, pairs.to(device)).float().cpu().numpy()
            for face, drawn in zip(some, made, strict=True):
                paste_face(shown[face.place].picture, drawn, face.box)
                self.drawn[face.person] += 1


class _Face(NamedTuple):
    """A face in the picture at a `place` in the window, and what it is drawn by."""

    place: int
    person: int
    box: np.ndarray
    pose: Tensor
    identity: Tensor
    hears_s: float


def device_of(model: TalkingFace) -> torch.device:
    """Where a model is; what is no module is on the CPU."""
    if isinstance(model, nn.Module):
        return next(model.parameters()).device
    return torch.device("cpu")
