"""Generate the lower halves of faces in the frames of a video, one window of frames at a time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsync.encoders.face_pyramid import SIZE
from avsync.faces.compositing import composite_face
from avsync.faces.crops import cut_face
from avsync.media.probe import MediaInfo
from avsync.media.video_reader import DecodedVideoFrame, read_decoded_frames
from avsync.media.writers.video_writer import TimedFrame
from avsync.media.yuv import YuvConverter
from avsync.pipelines.crop_stream import MAX_SIDE
from avsync.pipelines.separate.people import PersonTracks
from avsync.pipelines.talk.audio_tokens import SpeechTokens
from avsync.pipelines.talk.video_tracks import TrackedVideo
from avsync.scoring.embeddings import device_and_dtype
from avsync.tasks.talking.generator import FRAMES_PER_PASS, TalkingFace, face_pair
from avsync.timing import FPS

# Limit for the frames of a window, which are held until their faces are generated.
WINDOW_BYTES = 256_000_000
# Bytes per pixel: 10 bits of luma in 16, and half as much chroma.
PIXEL_BYTES = 3


class TalkingFrameRenderer:
    """Iterable of the frames of a video in which people speak; can be iterated once.

    Frames without any of the people are unchanged.

    Args:
        info: the video.
        tracked: its face tracks.
        people: the people who speak.
        model: generates their faces.
        speech: tokens that the model is conditioned on.
        converter: converts decoded frames to YUV frame buffers.
    """

    def __init__(
        self,
        info: MediaInfo,
        tracked: TrackedVideo,
        people: Sequence[PersonTracks],
        model: TalkingFace,
        speech: SpeechTokens,
        converter: YuvConverter,
    ) -> None:
        self.info, self.tracked, self.people = info, tracked, people
        self.model, self.speech, self.converter = model, speech, converter
        # Frames of each person generated so far.
        self.drawn = [0] * len(people)
        # The first crop of each track gives the model the identity.
        self._first_crops: dict[int, Tensor] = {}

    def __iter__(self) -> Iterator[TimedFrame]:
        count = WINDOW_BYTES // (PIXEL_BYTES * self.info.width * self.info.height)
        with closing(read_decoded_frames(self.info.path, MAX_SIDE)) as decoded:
            frames = enumerate(decoded)
            while window := list(islice(frames, max(1, min(FRAMES_PER_PASS, count)))):
                rendered: list[TimedFrame] = []
                faces: list[_FaceCrop] = []
                for number, frame in window:
                    faces += self._crop_faces(number, len(rendered), frame)
                    time_s = frame.time_s - self.info.video_start_s
                    rendered.append(TimedFrame(time_s, self.converter(frame.frame)))
                window.clear()
                self._draw(faces, rendered)
                yield from rendered

    def _crop_faces(self, number: int, index: int, frame: DecodedVideoFrame) -> list["_FaceCrop"]:
        """Return the faces to generate in a frame, the `index`-th of its window."""
        found = [
            (k, track.track, box)
            for k, person in enumerate(self.people)
            for track in person.tracks[::-1]
            if (box := self.tracked.tracks[track.track].at(number)) is not None
        ]
        if not found and number:
            return []
        # The first frame defines the size of all, so it is converted even without a face.
        image = frame.rgb()
        speech_s = self._speech_start_s(number)
        faces: dict[int, _FaceCrop] = {}
        for person, track, box in found:
            crop = cut_face(image, box * np.array(image.shape[1::-1] * 2), SIZE)
            pose = torch.from_numpy(crop).permute(2, 0, 1).float() / 255
            identity = self._first_crops.setdefault(track, pose)
            # Where two tracks of a person overlap, the later one is drawn.
            faces.setdefault(person, _FaceCrop(index, person, box, pose, identity, speech_s))
        return list(faces.values())

    def _speech_start_s(self, number: int) -> float:
        """Return the start of the 1/25 s of speech that a frame is conditioned on.

        It is centred on the time in which the frame is shown. Frames shown for longer than 1/25 s
        take the speech at their start.
        """
        duration_s = min(float(self.tracked.durations_s[number]), 1 / FPS)
        return float(self.tracked.times_s[number]) + (duration_s - 1 / FPS) / 2

    @torch.inference_mode()
    def _draw(self, faces: Sequence["_FaceCrop"], frames: Sequence[TimedFrame]) -> None:
        device = device_and_dtype(self.model).device
        for start in range(0, len(faces), FRAMES_PER_PASS):
            batch = faces[start : start + FRAMES_PER_PASS]
            tokens = self.speech.at([face.speech_s for face in batch])
            pairs = face_pair(
                torch.stack([face.pose for face in batch]),
                torch.stack([face.identity for face in batch]),
            )
            generated = self.model(tokens, pairs.to(device)).float().cpu().numpy()
            for face, image in zip(batch, generated, strict=True):
                composite_face(frames[face.frame_index].frame, image, face.box)
                self.drawn[face.person] += 1


class _FaceCrop(NamedTuple):
    """A face to generate, in the frame at `frame_index` of the window."""

    frame_index: int
    person: int
    box: np.ndarray
    pose: Tensor
    identity: Tensor
    speech_s: float
