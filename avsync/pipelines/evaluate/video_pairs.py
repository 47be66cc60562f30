"""Videos of a face that was made to talk, and the true ones: that face, cut alike out of both."""

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


class Likeness(NamedTuple):
    """How like the true one the lower half of a face is: PSNR in dB and SSIM, see
    `metrics.psnr`.
    """

    psnr: float
    ssim: float


class JudgedClip(NamedTuple):
    """A face that was made to talk, and the voice it should fit.

    `crops` gives what a model looks at, `(T, H, W, 3)` uint8; `wav` `(640 T,)` at 16 kHz starts
    with the first frame. What is said lies in `source` from `start_s` to `end_s`. `likeness` is
    None where there is no true clip. `true_crops` gives the true face likewise, None where it is
    not at hand.
    """

    name: str
    crops: Callable[[CropSpec], np.ndarray]
    wav: np.ndarray
    source: str
    start_s: float
    end_s: float
    likeness: Likeness | None
    true_crops: Callable[[CropSpec], np.ndarray] | None = None


def likeness(made: Tensor, true: Tensor) -> Likeness:
    """Of the lower halves of faces `(T, 3, 96, 96)` in [0, 1]."""
    half = true.shape[2] // 2
    return Likeness(
        psnr(made[:, :, half:], true[:, :, half:]), ssim(made[:, :, half:], true[:, :, half:])
    )


# Rates that differ by less are the same: 29.97 and 30 frames a second are matched by time.
SAME_RATE = 0.01


class Unlike(Exception):
    """Videos that cannot be judged together, or at all; says why."""


def filmed_clip(
    made: Path, true: Path | None, specs: Sequence[CropSpec], detector: FaceDetector
) -> JudgedClip:
    """Return the longest face of a video, cut where it is in the true video where there is one.

    UnreadableMedia for a video that cannot be read; Unlike where no face is found, and where the two
    videos differ in size, in frames a second or in length, or their frames in time.
    """
    info = probe_media(made)
    if not info.audio:
        raise UnreadableMedia("no_audio_stream", "the file has no audio")
    wanted = [*dict.fromkeys([*specs, FACE_SPEC])]
    tracks: dict[int, _Track] = {}
    for seen, frame, other in _matched(info, true, detector):
        for face in seen.faces:
            # A score of 0 marks a face that was lost and is held where it was.
            if face.score > 0:
                track = tracks.setdefault(face.track, _Track(seen.index, wanted))
                for spec in wanted:
                    track.crops[spec].append(cut_crop(spec, frame, face))
                if other is not None:
                    track.true.append(cut_crop(FACE_SPEC, other, face))
    if not tracks:
        raise Unlike("no face found")
    track = max(tracks.values(), key=lambda each: len(each.crops[FACE_SPEC]))
    faces = np.stack(track.crops[FACE_SPEC])
    start_s, end_s = track.start / FPS, (track.start + len(faces)) / FPS
    alike = likeness(_as_pictures(faces), _as_pictures(np.stack(track.true))) if true else None
    cut = {spec: np.stack(crops) for spec, crops in track.crops.items()}
    wav = _sound(info, track.start, len(faces))
    return JudgedClip(made.stem, cut.__getitem__, wav, made.name, start_s, end_s, alike)


class _Track:
    """What was cut of a face, from its first tick on."""

    def __init__(self, start: int, specs: Sequence[CropSpec]) -> None:
        self.start = start
        self.crops: dict[CropSpec, list[np.ndarray]] = {spec: [] for spec in specs}
        self.true: list[np.ndarray] = []


def _matched(
    made: MediaInfo, true: Path | None, detector: FaceDetector
) -> Iterator[tuple[TrackedTick, np.ndarray, np.ndarray | None]]:
    """Yield the faces of the true video at each tick, the made frame and the true one; those of the made
    video alone where there is no other.
    """
    ticks = at_rate(read_frames(made.path, MAX_SIDE))
    if true is None:
        for seen in follow_faces(ticks, detector, detector.stride):
            yield seen, seen.image, None
        return
    _refuse_unlike(made, probe_media(true))
    followed = follow_faces(at_rate(read_frames(true, MAX_SIDE)), detector, detector.stride)
    tick: Tick | None
    for place, (seen, tick) in enumerate(zip_longest(followed, ticks)):
        if seen is None or tick is None:
            longer, shorter = ("it", "the true one") if seen is None else ("the true one", "it")
            rest = sum(1 for _ in (ticks if seen is None else followed))
            # How long the last frame stays is told otherwise by every container.
            if rest:
                ended = f"when {shorter} has ended, after {place / FPS:.2f} s"
                raise Unlike(f"{longer} goes on for {(1 + rest) / FPS:.2f} s {ended}")
            return
        if seen.index != tick.index:
            raise Unlike(
                f"its frames do not come when the true ones do: one at {tick.time_s:.2f} s "
                f"for one at {seen.time_s:.2f} s"
            )
        yield seen, tick.image, seen.image


def _refuse_unlike(made: MediaInfo, true: MediaInfo) -> None:
    if (made.width, made.height) != (true.width, true.height):
        sizes = f"{made.width}x{made.height} pixels, the true one {true.width}x{true.height}"
        raise Unlike(f"it is {sizes}")
    if abs(made.fps - true.fps) > SAME_RATE * true.fps:
        raise Unlike(f"it has {made.fps:.2f} frames a second, the true one {true.fps:.2f}")


def _sound(info: MediaInfo, start: int, frames: int) -> np.ndarray:
    first, count = start * SAMPLES_PER_FRAME, frames * SAMPLES_PER_FRAME
    with closing(read_audio(info.path, info.video_start_s, SAMPLE_RATE)) as blocks:
        wav = np.concatenate([np.zeros(0, np.float32), *blocks])[first : first + count]
    return np.pad(wav, (0, count - len(wav)))


def _as_pictures(crops: np.ndarray) -> Tensor:
    return torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
