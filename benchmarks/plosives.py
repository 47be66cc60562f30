"""What is heard and seen of /b/ and /p/: bursts and closures, the opening of the lips."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from opening_curve import Curve
from scipy.signal import butter, sosfilt

from avsync.faces.crops import cut_mouth
from avsync.faces.detector import FaceDetector
from avsync.timing import SAMPLE_RATE, exact_div

BILABIAL = ("place", "bin", "blue", "by", "b", "p")
VOWEL_BEFORE = ("lay", "blue", "by")
MIN_BURST_DB, MIN_CLOSURE_DB = 25.0, 15.0
PATCH = 96


class Sound(NamedTuple):
    """A plosive that was heard: word, burst and, where a vowel comes before, closure, in s."""

    word: str
    burst_s: float
    closure_s: float | None


class Pictures(NamedTuple):
    """A clip's pictures `(H, W, 3)` uint8 RGB and their times in s from the first, `(T,)`."""

    images: list[np.ndarray]
    times_s: np.ndarray


class Measure(NamedTuple):
    """A way to see how far the lips are open: pictures -> `(n,)` or None.

    An opening smaller than `least` does not count.
    """

    opening: Callable[[list[np.ndarray]], np.ndarray | None]
    least: float


def listen(wav: np.ndarray, words: Sequence[tuple[float, str]]) -> Iterator[Sound]:
    """Yields the clear plosives of a waveform `(N,)` at 16 kHz; `words` are (start in s, word)."""
    level = high_band_db(wav)
    for (_, before), (start_s, word) in pairwise(words):
        burst = find_burst(level, start_s - 0.03, start_s + 0.16) if word in BILABIAL else None
        if burst is None or burst[1] < MIN_BURST_DB:
            continue
        closure = find_closure(level, start_s - 0.06, burst[0]) if before in VOWEL_BEFORE else None
        clear = closure is not None and closure[1] >= MIN_CLOSURE_DB
        yield Sound(word, burst[0], closure[0] if closure is not None and clear else None)


def look(
    pictures: Pictures, sound_s: float, measure: Measure, backwards: bool = False
) -> Curve | None:
    """The lips around a sound; None where no face is found or they do not go from closed to open.

    `backwards` for a closure, where they go from open to closed.
    """
    at_ms = 1000 * (pictures.times_s - sound_s)
    near = np.flatnonzero(abs(at_ms) < 165)
    opening = measure.opening([pictures.images[i] for i in near]) if len(near) > 6 else None
    if opening is None:
        return None
    at_ms = -at_ms[near] if backwards else at_ms[near]
    closed, apart = opening[(at_ms > -60) & (at_ms < -10)], opening[(at_ms > 40) & (at_ms < 130)]
    if not len(closed) or not len(apart):
        return None
    low, high = float(np.median(closed)), float(np.percentile(apart, 75))
    if high < 3 * low or high - low < measure.least:
        return None
    return Curve(at_ms, (opening - low) / (high - low))


def high_band_db(wav: np.ndarray) -> np.ndarray:
    """Level above 1 kHz of a waveform `(N,)` at 16 kHz, in dB, one value per ms: `(N // 16,)`."""
    step = exact_div(SAMPLE_RATE, 1000)
    high = sosfilt(butter(2, 1000, "highpass", fs=SAMPLE_RATE, output="sos"), wav)
    power = (high[: len(high) // step * step].reshape(-1, step) ** 2).mean(1)
    return 10 * np.log10(power + 1e-9)


def find_burst(level: np.ndarray, start_s: float, end_s: float) -> tuple[float, float] | None:
    """Time in s and size in dB of the sharpest rise of `level` `(n,)` between two times."""
    first, last = max(10, int(start_s * 1000)), min(len(level) - 4, int(end_s * 1000))
    if last <= first:
        return None
    total = np.concatenate([[0.0], np.cumsum(level)])
    at = np.arange(first, last)
    before = (total[at] - total[at - 10]) / 10
    rise = (total[at + 3] - total[at]) / 3 - before
    best = int(rise.argmax())
    middle = (before[best] + level[at[best] : at[best] + 4].max()) / 2
    near = np.arange(at[best] - 3, at[best] + 4)
    above = int(near[level[near] > middle][0])
    step = level[above] - level[above - 1]
    part = (middle - level[above - 1]) / step if step > 0 else 1.0
    # A value stands for the middle of its millisecond.
    return (above - 0.5 + min(1.0, part)) / 1000, float(rise[best])


def find_closure(level: np.ndarray, start_s: float, burst_s: float) -> tuple[float, float] | None:
    """Time in s and size in dB of the sharpest fall of `level` before a burst, or None.

    The lips meet between the last pulse of the voice that is heard above 1 kHz and the next, about
    9 ms later, that is not: half of that is added.
    """
    first, last = max(12, int(start_s * 1000)), int(burst_s * 1000) - 12
    if last <= first:
        return None
    total = np.concatenate([[0.0], np.cumsum(level)])
    at = np.arange(first, last)
    before, after = (total[at] - total[at - 12]) / 12, (total[at + 12] - total[at]) / 12
    best = int((before - after).argmax())
    near = np.arange(at[best] - 10, at[best] + 10)
    middle = (before[best] + after[best]) / 2
    loud = near[level[near] > middle]
    last_pulse = loud[-1] + 1 if len(loud) else at[best]
    return (float(last_pulse) + 4.5) / 1000, float((before - after)[best])


def lip_opening(mouth: np.ndarray) -> float:
    """How far the lips are apart in a mouth crop `(96, 96, 3)` RGB, in red x rows.

    Closed lips are one ridge of red from top to bottom; teeth and the dark of the mouth cut a notch
    into it, and the area of that notch is the opening.
    """
    red = cv2.cvtColor(mouth, cv2.COLOR_RGB2YCrCb)[34:75, 41:56, 1].astype(np.float64).mean(1)
    red = red[int(red[:16].argmin()) :]  # from the skin above the upper lip down
    ridge = np.minimum(np.maximum.accumulate(red), np.maximum.accumulate(red[::-1])[::-1])
    return float((ridge - red).sum())


def colour_measure(detector: FaceDetector) -> Measure:
    """The notch of `lip_opening`, in one fixed crop for all pictures of an event."""

    def opening(images: list[np.ndarray]) -> np.ndarray | None:
        middle = len(images) // 2
        found = [detector(images[middle + step]) for step in (-2, 2)]
        if not all(found):
            return None
        points = np.mean([faces[0].points for faces in found], axis=0)
        return np.array([lip_opening(cut_mouth(image, points, PATCH)) for image in images])

    return Measure(opening, least=40.0)


def landmark_measure(model: Path) -> Measure:
    """The inner lips of MediaPipe's face landmarker, picture by picture, in % of the face."""
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise RuntimeError(
            "--measure landmarks needs mediapipe: pip install avsync[landmarks]"
        ) from error
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(model)))
    landmarker = vision.FaceLandmarker.create_from_options(options)

    def opening(images: list[np.ndarray]) -> np.ndarray | None:
        gaps = []
        for image in images:
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            faces = landmarker.detect(picture).face_landmarks
            if not faces:
                return None
            xy = np.array([(p.x * image.shape[1], p.y * image.shape[0]) for p in faces[0]])
            gap = np.mean([np.hypot(*(xy[a] - xy[b])) for a, b in ((13, 14), (82, 87), (312, 317))])
            gaps.append(100 * gap / np.hypot(*(xy[10] - xy[152])))
        return np.array(gaps)

    return Measure(opening, least=1.5)
