"""Detection of /b/ and /p/: bursts and closures in the audio, mouth opening in the video."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from scipy.signal import butter, sosfilt

from avsync.encoders.pretrained.face_mesh import load_face_mesh
from avsync.faces.crops import cut_mouth
from avsync.faces.detector import FaceDetector
from avsync.faces.mesh_regions import cut_region, region_from_points
from avsync.faces.mesh_tracking import MIN_PRESENCE, mesh_of_crops
from avsync.timing import SAMPLE_RATE, exact_div
from benchmarks.sync.mouth_opening import Curve

BILABIAL = ("place", "bin", "blue", "by", "b", "p")
VOWEL_BEFORE = ("lay", "blue", "by")
MIN_BURST_DB, MIN_CLOSURE_DB = 25.0, 15.0
PATCH = 96
# Points of the mesh on the upper and the lower inner lip, in the middle and on either side.
INNER_LIPS = ((13, 14), (82, 87), (312, 317))


class PlosiveEvent(NamedTuple):
    """A plosive in the audio: word, burst in s and, after a vowel, closure in s."""

    word: str
    burst_s: float
    closure_s: float | None


class TimedFrames(NamedTuple):
    """Frames `(H, W, 3)` uint8 RGB of a clip and their times `(T,)` in s from the first."""

    images: list[np.ndarray]
    times_s: np.ndarray


class Measure(NamedTuple):
    """A measure of the mouth opening: frames -> `(n,)`, or None if no face is detected.

    Openings below `minimum` are ignored.
    """

    opening: Callable[[list[np.ndarray]], np.ndarray | None]
    minimum: float


def detect_plosives(wav: np.ndarray, words: Sequence[tuple[float, str]]) -> Iterator[PlosiveEvent]:
    """Yield the clear plosives of a waveform `(N,)` at 16 kHz; `words` are (start in s, word)."""
    level = high_band_db(wav)
    for (_, before), (start_s, word) in pairwise(words):
        burst = find_burst(level, start_s - 0.03, start_s + 0.16) if word in BILABIAL else None
        if burst is None or burst[1] < MIN_BURST_DB:
            continue
        closure = find_closure(level, start_s - 0.06, burst[0]) if before in VOWEL_BEFORE else None
        clear = closure is not None and closure[1] >= MIN_CLOSURE_DB
        yield PlosiveEvent(word, burst[0], closure[0] if closure is not None and clear else None)


def opening_around(
    frames: TimedFrames, event_s: float, measure: Measure, backwards: bool = False
) -> Curve | None:
    """Measure the mouth opening around an event.

    Args:
        frames: frames of the clip.
        event_s: time of the burst or closure.
        measure: measure of the mouth opening.
        backwards: True for a closure, where the lips go from open to closed.

    Returns:
        The normalised curve; None if no face is detected or the lips do not go from closed to open.
    """
    at_ms = 1000 * (frames.times_s - event_s)
    near = np.flatnonzero(abs(at_ms) < 165)
    opening = measure.opening([frames.images[i] for i in near]) if len(near) > 6 else None
    if opening is None:
        return None
    at_ms = -at_ms[near] if backwards else at_ms[near]
    closed, apart = opening[(at_ms > -60) & (at_ms < -10)], opening[(at_ms > 40) & (at_ms < 130)]
    if not len(closed) or not len(apart):
        return None
    low, high = float(np.median(closed)), float(np.percentile(apart, 75))
    if high < 3 * low or high - low < measure.minimum:
        return None
    return Curve(at_ms, (opening - low) / (high - low))


def high_band_db(wav: np.ndarray, above_hz: float = 1000.0) -> np.ndarray:
    """Compute the level above a frequency in dB, one per ms: `(N,)` at 16 kHz -> `(N // 16,)`."""
    step = exact_div(SAMPLE_RATE, 1000)
    high = sosfilt(butter(2, above_hz, "highpass", fs=SAMPLE_RATE, output="sos"), wav)
    power = (high[: len(high) // step * step].reshape(-1, step) ** 2).mean(1)
    return 10 * np.log10(power + 1e-9)


def find_burst(level: np.ndarray, start_s: float, end_s: float) -> tuple[float, float] | None:
    """Find the sharpest rise of `level` `(n,)` between two times: its time in s, its size in dB."""
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
    # The time of a value is the middle of its millisecond.
    return (above - 0.5 + min(1.0, part)) / 1000, float(rise[best])


def find_closure(level: np.ndarray, start_s: float, burst_s: float) -> tuple[float, float] | None:
    """Find the sharpest fall of `level` before a burst: its time in s, its size in dB, or None.

    The lips close between the last glottal pulse with energy above 1 kHz and the next pulse, about
    9 ms later: half of that is added.
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
    """Measure the mouth opening in a mouth crop `(96, 96, 3)` RGB, in units of red x rows.

    Closed lips form one ridge in the vertical profile of the red chroma. An open mouth cuts a notch
    into it, and the area of that notch is the opening.
    """
    red = cv2.cvtColor(mouth, cv2.COLOR_RGB2YCrCb)[34:75, 41:56, 1].astype(np.float64).mean(1)
    red = red[int(red[:16].argmin()) :]  # from the skin above the upper lip down
    ridge = np.minimum(np.maximum.accumulate(red), np.maximum.accumulate(red[::-1])[::-1])
    return float((ridge - red).sum())


def colour_measure(detector: FaceDetector) -> Measure:
    """Measure by `lip_opening`, in one fixed crop for all frames of an event."""

    def opening(images: list[np.ndarray]) -> np.ndarray | None:
        middle = len(images) // 2
        found = [detector(images[middle + step]) for step in (-2, 2)]
        if not all(found):
            return None
        points = np.mean([faces[0].points for faces in found], axis=0)
        return np.array([lip_opening(cut_mouth(image, points, PATCH)) for image in images])

    return Measure(opening, minimum=40.0)


def landmark_measure(detector: FaceDetector) -> Measure:
    """Measure the gap between the mesh's inner lips in each frame, in % of the face height."""
    mesh = load_face_mesh()

    def opening(images: list[np.ndarray]) -> np.ndarray | None:
        found = [detector(image) for image in images]
        if not all(found):
            return None
        regions = [region_from_points(faces[0].points) for faces in found]
        crops = [cut_region(*pair) for pair in zip(images, regions, strict=True)]
        points, presence = mesh_of_crops(mesh, crops)
        if (presence < MIN_PRESENCE).any():
            return None
        xy = points[..., :2]

        def distance(a: int, b: int) -> np.ndarray:
            return np.linalg.norm(xy[:, a] - xy[:, b], axis=1)

        gap = np.mean([distance(*pair) for pair in INNER_LIPS], axis=0)
        return 100 * gap / distance(10, 152)

    return Measure(opening, minimum=1.5)
