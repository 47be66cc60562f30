"""Render clips of people who speak or sing, with ground truth of every mouth, to arrays."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple, get_args

import numpy as np

from avsync.synthetic.animation import Animation
from avsync.synthetic.articulation import Closure
from avsync.synthetic.scene import Scene
from avsync.synthetic.utterance import PASSAGE_S, Mode, Note

_MIN_SIDE, _MIN_RATE_HZ = 64, 8000


class SyntheticClip(NamedTuple):
    """A rendered clip and its ground truth.

    Sample 0 of `wav` is the time of frame 0. Frame k is shown from k / fps to (k + 1) / fps and
    shows the instant in the middle, so that lips and voice are in sync for a viewer.

    `frames` (T, H, W, 3) uint8 RGB, `wav` (N,) float32 in [-1, 1]. The ground truth, per face and
    frame: `aperture_mm`, `rounding`, `jaw_mm` (faces, T); `points` (faces, T, 5, 2) in pixels:
    eyes, nose, mouth corners, left before right; `boxes` (faces, T, 4) x0, y0, x1, y1 from hairline
    to chin; `speaking` (faces, T) bool. `closures` and `notes`, one tuple per face, are in seconds
    of the clip.
    """

    frames: np.ndarray
    wav: np.ndarray
    sample_rate: int
    fps: float
    aperture_mm: np.ndarray
    rounding: np.ndarray
    jaw_mm: np.ndarray
    points: np.ndarray
    boxes: np.ndarray
    speaking: np.ndarray
    closures: tuple[tuple[Closure, ...], ...]
    notes: tuple[tuple[Note, ...], ...]


def render(
    seed: int = 0,
    duration_s: float = 4.0,
    mode: Mode = "speech",
    faces: int = 1,
    size: tuple[int, int] = (640, 360),
    fps: float = 25,
    sample_rate: int = 48000,
) -> SyntheticClip:
    """Render a clip to arrays; the same arguments give the same bytes.

    Args:
        seed: chooses people, words, room and camera.
        duration_s: length of the clip.
        mode: `speech` or `singing`.
        faces: number of people, 1 or 2.
        size: width and height in pixels.
        fps: frames per second.
        sample_rate: of the audio, in Hz.
    """
    check_clip_arguments(seed, duration_s, mode, faces, size, fps, sample_rate)
    animation, scene = Animation(seed, mode, faces), Scene(seed, faces, *size)
    total = max(1, round(duration_s * fps))
    frames = np.empty((total, size[1], size[0], 3), np.uint8)
    mouth = np.empty((3, faces, total), np.float32)
    points, boxes = np.empty((faces, total, 5, 2)), np.empty((faces, total, 4))
    speaking = np.empty((faces, total), bool)
    for k in range(total):
        time_s = (k + 0.5) / fps
        poses = tuple(animation.mouth(face, time_s) for face in range(faces))
        frames[k], points[:, k], boxes[:, k] = scene.render(k, time_s, poses)
        mouth[:, :, k] = [
            [p.aperture_mm for p in poses],
            [p.rounding for p in poses],
            [p.jaw_mm for p in poses],
        ]
        speaking[:, k] = [animation.speaks(face, time_s) for face in range(faces)]
    samples = round(duration_s * sample_rate)
    wav = np.concatenate(list(iter_audio(animation, samples, sample_rate)))
    closures, notes = _events(animation, duration_s)
    truth = (*mouth, points, boxes, speaking, closures, notes)
    return SyntheticClip(frames, wav, sample_rate, float(fps), *truth)


def iter_frames(
    seed: int = 0,
    duration_s: float = 4.0,
    mode: Mode = "speech",
    faces: int = 1,
    size: tuple[int, int] = (640, 360),
    fps: float | Fraction = 25,
) -> Iterator[np.ndarray]:
    """Yield the frames of `render` one by one, `(H, W, 3)` uint8, in constant memory."""
    check_clip_arguments(seed, duration_s, mode, faces, size, fps, _MIN_RATE_HZ)
    animation, scene = Animation(seed, mode, faces), Scene(seed, faces, *size)
    for k in range(max(1, round(duration_s * fps))):
        time_s = float((k + Fraction(1, 2)) / fps)
        poses = tuple(animation.mouth(face, time_s) for face in range(faces))
        yield scene.render(k, time_s, poses).image


def iter_audio(animation: Animation, samples: int, sample_rate: int) -> Iterator[np.ndarray]:
    """Yield the first `samples` of an animation's audio in blocks `(n,)` float32."""
    left = samples
    for block in animation.audio(sample_rate):
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


def check_clip_arguments(
    seed: int,
    duration_s: float,
    mode: str,
    faces: int,
    size: tuple[int, int],
    fps: float | Fraction,
    sample_rate: int,
) -> None:
    """Raise ValueError for the first invalid argument of `render`."""
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"duration_s must be positive and finite, got {duration_s}")
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
    if faces not in (1, 2):
        raise ValueError(f"faces must be 1 or 2, got {faces}")
    if len(size) != 2 or min(size) < _MIN_SIDE:
        raise ValueError(f"size must be (width, height) of {_MIN_SIDE} pixels at least, got {size}")
    if not 1 <= fps <= 240:
        raise ValueError(f"fps must be from 1 to 240, got {fps}")
    if sample_rate < _MIN_RATE_HZ:
        raise ValueError(f"sample_rate must be {_MIN_RATE_HZ} Hz or more, got {sample_rate}")


def _events(
    animation: Animation, duration_s: float
) -> tuple[tuple[tuple[Closure, ...], ...], tuple[tuple[Note, ...], ...]]:
    """Return closures and notes of every face that are wholly in the clip, in its time."""
    closures: list[list[Closure]] = [[] for _ in range(animation.faces)]
    notes: list[list[Note]] = [[] for _ in range(animation.faces)]
    for index in range(int((animation.start_s + duration_s) // PASSAGE_S) + 1):
        zero = index * PASSAGE_S - animation.start_s
        for face, passage in enumerate(animation.passage(index)):
            for c in passage.articulation.closures:
                if c.start_s + zero >= 0 and c.release_s + zero < duration_s:
                    closures[face].append(Closure(c.name, c.start_s + zero, c.release_s + zero))
            for note in passage.plan.notes:
                if note.start_s + zero >= 0 and note.end_s + zero < duration_s:
                    notes[face].append(Note(note.start_s + zero, note.end_s + zero, note.hz))
    return tuple(map(tuple, closures)), tuple(map(tuple, notes))
