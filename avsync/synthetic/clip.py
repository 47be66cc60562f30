"""Rendered clips of people who speak or sing, with the truth about every mouth in them: to arrays
and frame by frame."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple, get_args

import numpy as np

from avsync.synthetic.animation import Performance
from avsync.synthetic.articulation import Closure
from avsync.synthetic.scene import Scene
from avsync.synthetic.utterance import PASSAGE_S, Mode, Note

_LEAST_SIDE, _LEAST_RATE_HZ = 64, 8000


class SyntheticClip(NamedTuple):
    """A rendered clip; sample 0 of `wav` is the time of frame 0. Frame k is shown from
    k / fps to (k + 1) / fps and is the instant in the middle, so that lips and voice lie together
    for who watches.

    `frames` (T, H, W, 3) uint8 RGB, `wav` (N,) float32 in [-1, 1]. The truth, per face and frame:
    `aperture_mm`, `rounding`, `jaw_mm` (faces, T); `points` (faces, T, 5, 2) in pixels: eyes, nose,
    mouth corners, left before right; `boxes` (faces, T, 4) x0, y0, x1, y1 from hairline to chin;
    `speaking` (faces, T) bool. `closures` and `notes`, one tuple per face, are in seconds of the
    clip.
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
    """Renders a clip to arrays; `size` is width, height. The same arguments give the same bytes."""
    check_clip_arguments(seed, duration_s, mode, faces, size, fps, sample_rate)
    performance, scene = Performance(seed, mode, faces), Scene(seed, faces, *size)
    total = max(1, round(duration_s * fps))
    frames = np.empty((total, size[1], size[0], 3), np.uint8)
    mouth = np.empty((3, faces, total), np.float32)
    points, boxes = np.empty((faces, total, 5, 2)), np.empty((faces, total, 4))
    speaking = np.empty((faces, total), bool)
    for k in range(total):
        time_s = (k + 0.5) / fps
        poses = tuple(performance.mouth(face, time_s) for face in range(faces))
        frames[k], points[:, k], boxes[:, k] = scene.view(k, time_s, poses)
        mouth[:, :, k] = [
            [p.aperture_mm for p in poses],
            [p.rounding for p in poses],
            [p.jaw_mm for p in poses],
        ]
        speaking[:, k] = [performance.speaks(face, time_s) for face in range(faces)]
    wav = np.concatenate(
        list(iter_audio(performance, round(duration_s * sample_rate), sample_rate))
    )
    closures, notes = _events(performance, duration_s)
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
    """The frames of `render` one after another, `(H, W, 3)` uint8, in memory that does not grow
    with the clip."""
    check_clip_arguments(seed, duration_s, mode, faces, size, fps, _LEAST_RATE_HZ)
    performance, scene = Performance(seed, mode, faces), Scene(seed, faces, *size)
    for k in range(max(1, round(duration_s * fps))):
        time_s = float((k + Fraction(1, 2)) / fps)
        poses = tuple(performance.mouth(face, time_s) for face in range(faces))
        yield scene.view(k, time_s, poses).image


def iter_audio(performance: Performance, samples: int, sample_rate: int) -> Iterator[np.ndarray]:
    """The first `samples` of a performance in blocks `(n,)` float32."""
    left = samples
    for block in performance.sound(sample_rate):
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
    """ValueError for the first argument of `render` that no clip can be rendered with."""
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"duration_s must be positive and finite, got {duration_s}")
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
    if faces not in (1, 2):
        raise ValueError(f"faces must be 1 or 2, got {faces}")
    if len(size) != 2 or min(size) < _LEAST_SIDE:
        raise ValueError(
            f"size must be (width, height) of {_LEAST_SIDE} pixels at least, got {size}"
        )
    if not 1 <= fps <= 240:
        raise ValueError(f"fps must be from 1 to 240, got {fps}")
    if sample_rate < _LEAST_RATE_HZ:
        raise ValueError(f"sample_rate must be {_LEAST_RATE_HZ} Hz or more, got {sample_rate}")


def _events(
    performance: Performance, duration_s: float
) -> tuple[tuple[tuple[Closure, ...], ...], tuple[tuple[Note, ...], ...]]:
    """Closures and notes of every face that lie wholly in the clip, on the clip's clock."""
    closures: list[list[Closure]] = [[] for _ in range(performance.faces)]
    notes: list[list[Note]] = [[] for _ in range(performance.faces)]
    for passage in range(int((performance.start_s + duration_s) // PASSAGE_S) + 1):
        zero = passage * PASSAGE_S - performance.start_s
        for face, act in enumerate(performance.acts(passage)):
            for c in act.articulation.closures:
                if c.start_s + zero >= 0 and c.release_s + zero < duration_s:
                    closures[face].append(Closure(c.name, c.start_s + zero, c.release_s + zero))
            for note in act.score.notes:
                if note.start_s + zero >= 0 and note.end_s + zero < duration_s:
                    notes[face].append(Note(note.start_s + zero, note.end_s + zero, note.hz))
    return tuple(map(tuple, closures)), tuple(map(tuple, notes))
