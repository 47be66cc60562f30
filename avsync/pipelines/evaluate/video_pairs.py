"""Crop the talking face out of a generated video and of the true one, at the same position."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsync.data.sampling.crops import CropSpec, cut_crop
from avsync.faces.detector import FaceDetector
from avsync.faces.tracking import TrackedTick, follow_faces
from avsync.media.audio_reader import read_audio
from avsync.media.container import UnreadableMedia
from avsync.media.probe import MediaInfo, probe_media
from avsync.media.video_reader import Tick, at_rate, read_frames
from avsync.metrics.image import psnr, ssim
from avsync.pipelines.crop_stream import MAX_SIDE
from avsync.tasks.talking.generator import FACE_SPEC
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Frame rates within this relative difference are equal: 29.97 and 30 fps are matched by time.
SAME_RATE = 0.01


class Likeness(NamedTuple):
    """Similarity of the lower half of a generated face to the true one.

    Args:
        psnr: peak signal-to-noise ratio in dB, see `metrics.psnr`.
        ssim: structural similarity.
    """

    psnr: float
    ssim: float


class JudgedClip(NamedTuple):
    """A generated talking face and the speech that it should match.

    Args:
        name: identifier of the clip.
        crops: maps the geometry of a model to its crops `(T, H, W, 3)` uint8.
        wav: audio `(640 T,)` at 16 kHz, from the first frame on.
        source: source whose transcript holds what is said.
        start_s: start of the speech in `source`, in seconds.
        end_s: its end.
        likeness: similarity to the true face; None if there is no true clip.
        true_crops: like `crops`, of the true face; None if that is not available.
    """

    name: str
    crops: Callable[[CropSpec], np.ndarray]
    wav: np.ndarray
    source: str
    start_s: float
    end_s: float
    likeness: Likeness | None
    true_crops: Callable[[CropSpec], np.ndarray] | None = None


class VideoMismatch(Exception):
    """A video has no face, or differs from the true one in size, rate, length or frame times."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


def crop_video_pair(
    made: Path, true: Path | None, specs: Sequence[CropSpec], detector: FaceDetector
) -> JudgedClip:
    """Crop the longest face track of a generated video, at its position in the true video.

    Args:
        made: the generated video.
        true: the true video; None crops at the face's position in the generated one.
        specs: crop geometries of the models that will judge the clip.
        detector: face detector.

    Raises:
        UnreadableMedia: a video cannot be read, or the generated one has no audio.
        VideoMismatch: no face was found, or the videos differ in size, frame rate, length or frame
            times.
    """
    info = probe_media(made)
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    wanted = [*dict.fromkeys([*specs, FACE_SPEC])]
    tracks: dict[int, _CroppedTrack] = {}
    for tick, frame, true_frame in _matched_ticks(info, true, detector):
        for face in tick.faces:
            # A score of 0 marks a lost face that is held at its last position.
            if face.score > 0:
                track = tracks.setdefault(face.track, _CroppedTrack(tick.index, wanted))
                for spec in wanted:
                    track.crops[spec].append(cut_crop(spec, frame, face))
                if true_frame is not None:
                    track.true.append(cut_crop(FACE_SPEC, true_frame, face))
    if not tracks:
        raise VideoMismatch("no face found")
    track = max(tracks.values(), key=lambda candidate: len(candidate.crops[FACE_SPEC]))
    crops = {spec: np.stack(cut) for spec, cut in track.crops.items()}
    faces = crops[FACE_SPEC]
    start_s, end_s = track.start / FPS, (track.start + len(faces)) / FPS
    likeness = None
    if true is not None:
        likeness = lower_face_likeness(_to_tensor(faces), _to_tensor(np.stack(track.true)))
    wav = _read_wav(info, track.start, len(faces))
    return JudgedClip(made.stem, crops.__getitem__, wav, made.name, start_s, end_s, likeness)


def lower_face_likeness(made: Tensor, true: Tensor) -> Likeness:
    """Compare the lower halves of faces `(T, 3, 96, 96)` in [0, 1]."""
    half = true.shape[2] // 2
    return Likeness(
        psnr(made[:, :, half:], true[:, :, half:]), ssim(made[:, :, half:], true[:, :, half:])
    )


class _CroppedTrack:
    """Crops of one face by geometry, from its first tick on."""

    def __init__(self, start: int, specs: Sequence[CropSpec]) -> None:
        self.start = start
        self.crops: dict[CropSpec, list[np.ndarray]] = {spec: [] for spec in specs}
        self.true: list[np.ndarray] = []


def _matched_ticks(
    made: MediaInfo, true: Path | None, detector: FaceDetector
) -> Iterator[tuple[TrackedTick, np.ndarray, np.ndarray | None]]:
    """Yield tracked faces, generated frame and true frame of each tick.

    Faces are tracked in the true video, or in the generated one if there is no other.
    """
    ticks = at_rate(read_frames(made.path, MAX_SIDE))
    if true is None:
        for tracked in follow_faces(ticks, detector, detector.stride):
            yield tracked, tracked.image, None
        return
    _check_formats(made, probe_media(true))
    true_ticks = follow_faces(at_rate(read_frames(true, MAX_SIDE)), detector, detector.stride)
    seen: TrackedTick | None
    tick: Tick | None
    for index, (seen, tick) in enumerate(zip_longest(true_ticks, ticks)):
        if seen is None or tick is None:
            longer, shorter = ("it", "the true one") if seen is None else ("the true one", "it")
            rest = sum(1 for _ in (ticks if seen is None else true_ticks))
            # Containers disagree on the duration of the last frame: one tick more is no mismatch.
            if rest:
                ended = f"when {shorter} has ended, after {index / FPS:.2f} s"
                raise VideoMismatch(f"{longer} goes on for {(1 + rest) / FPS:.2f} s {ended}")
            return
        if seen.index != tick.index:
            raise VideoMismatch(
                f"its frames do not come when the true ones do: one at {tick.time_s:.2f} s "
                f"for one at {seen.time_s:.2f} s"
            )
        yield seen, tick.image, seen.image


def _check_formats(made: MediaInfo, true: MediaInfo) -> None:
    if (made.width, made.height) != (true.width, true.height):
        sizes = f"{made.width}x{made.height} pixels, the true one {true.width}x{true.height}"
        raise VideoMismatch(f"it is {sizes}")
    if abs(made.fps - true.fps) > SAME_RATE * true.fps:
        rates = f"{made.fps:.2f} frames a second, the true one {true.fps:.2f}"
        raise VideoMismatch(f"it has {rates}")


def _read_wav(info: MediaInfo, start: int, frames: int) -> np.ndarray:
    first, count = start * SAMPLES_PER_FRAME, frames * SAMPLES_PER_FRAME
    with closing(read_audio(info.path, info.video_start_s, SAMPLE_RATE)) as blocks:
        wav = np.concatenate([np.zeros(0, np.float32), *blocks])[first : first + count]
    return np.pad(wav, (0, count - len(wav)))


def _to_tensor(crops: np.ndarray) -> Tensor:
    return torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
