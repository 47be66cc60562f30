"""Match lip closures of the face mesh with gaps in the speech: offsets without words or a model.

While the lips are closed for /p b m/ there is little energy above 1 kHz, from the closure to the
burst. Lip closures are found in the mesh alone, and what the audio does around all of them is
averaged at each lag: no burst is chosen because it fits. Closures that belong to other phones add
noise at every lag. The lag at which the speech falls as the lips close and rises as they part is
the offset. A gap of the lips under a threshold counts as closed: they part late and close early by
the same amount, which the sum of both edges cancels.

Frame k counts as the middle of the time it is shown. Offsets are in ms, positive = the audio leads.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avsync.faces.face_frame import MOUTH_POINTS
from avsync.timing import FRAME_MS
from benchmarks.sync.plosives import INNER_LIPS, high_band_db

# Largest offset, and lags on either side of it, so that a peak is never cut off.
MAX_OFFSET_MS, MARGIN_MS = 150, 50
LAGS_MS = np.arange(-MAX_OFFSET_MS - MARGIN_MS, MAX_OFFSET_MS + MARGIN_MS + 1)
# The level before and after an edge is averaged over this time.
EDGE_MS = 40
# Both edges agree in a peak with a flat top, as wide as lips are late to part and early to close:
# smoothing puts its maximum into its middle.
SMOOTHED_MS, PARABOLA_MS = 25.0, 10
# Share of the way from a person's closed lips to the open mouth under which lips count as closed,
# and which the mouth must exceed before and after.
CLOSED_SHARE, OPEN_SHARE = 0.25, 0.4
# Lips that were closed at any time in the clip: the smallest gap, in parts of the open mouth.
SMALLEST_SHARE = 0.3
OPEN_FRAMES = 3
# Closures in speech; longer ones are pauses, in which the lips part before the voice.
CLOSURE_MS = (30.0, 160.0)
# Range of the level, in dB below the loud parts of a clip. Aspiration counts as speech.
FLOOR_DB, CEILING_DB = -30.0, -10.0
# The period of a low voice; odd, so that the mean is centred.
PULSES_MS = 11
# For the movement of the lips the whole voice counts.
VOICE_ABOVE_HZ = 300.0


class Closure(NamedTuple):
    """Lips closed from `closed_ms` to `parted_ms` after the first frame's start."""

    closed_ms: float
    parted_ms: float


class ClipEvidence(NamedTuple):
    """Evidence of one clip for each offset.

    `parting`, `closing` and `movement` `(401,)` are sums over events or frames at each of
    `LAGS_MS`: how much the level rises as lips part, falls as they close, and changes as they move.
    """

    clip: str
    person: str
    closures: int
    parting: np.ndarray
    closing: np.ndarray
    movement: np.ndarray

    @property
    def both(self) -> np.ndarray:
        """Sum `(401,)` of both edges of the closures."""
        return self.parting + self.closing


def inner_lip_gap(landmarks: np.ndarray) -> np.ndarray:
    """Measure the gap between the inner lips in landmarks `(T, 62, 3)` of `MouthCache`: `(T,)`."""
    points = landmarks.astype(np.float64)
    pairs = [[MOUTH_POINTS.index(point) for point in pair] for pair in INNER_LIPS]
    return np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in pairs], axis=0)


def find_lip_closures(gap: np.ndarray, share: float = CLOSED_SHARE) -> list[Closure]:
    """Find closures of the lips between two openings in gaps `(T,)`, from the video alone."""
    closed, opened = np.percentile(gap, [2, 90])
    if closed > SMALLEST_SHARE * opened:
        return []
    threshold, wide = (closed + part * (opened - closed) for part in (share, OPEN_SHARE))
    below = gap < threshold
    edges = np.flatnonzero(np.diff(below.astype(int))) + 1
    found = []
    for first, after in pairwise(edges):
        open_before = gap[max(0, first - OPEN_FRAMES) : first].max() > wide
        open_after = gap[after : after + OPEN_FRAMES].max() > wide
        if below[first] and open_before and open_after:
            found.append(
                Closure(_crossing_ms(gap, first, threshold), _crossing_ms(gap, after, threshold))
            )
    return found


def speech_level(wav: np.ndarray, above_hz: float = 1000.0) -> np.ndarray:
    """Return the level above a frequency, clipped to [0, 1], per ms: `(N,)` -> `(N // 16,)`."""
    power = 10 ** (high_band_db(wav, above_hz) / 10)
    level = 10 * np.log10(np.convolve(power, np.ones(PULSES_MS) / PULSES_MS, "same"))
    level = level - np.percentile(level, 95)
    return (np.clip(level, FLOOR_DB, CEILING_DB) - FLOOR_DB) / (CEILING_DB - FLOOR_DB)


def gather_evidence(
    clip: str, person: str, gap: np.ndarray, wav: np.ndarray, share: float = CLOSED_SHARE
) -> ClipEvidence:
    """Gather the evidence of a clip from gaps `(T,)` at 25 fps and audio `(N,)` at 16 kHz.

    Events are left out if a part of the lags lies outside of the clip: every lag has equally many.
    """
    rise, closures = _rise(speech_level(wav)), 0
    parting, closing = np.zeros(len(LAGS_MS)), np.zeros(len(LAGS_MS))
    for closure in find_lip_closures(gap, share):
        around = [_around(rise, time_ms) for time_ms in closure]
        if not CLOSURE_MS[0] < closure.parted_ms - closure.closed_ms < CLOSURE_MS[1]:
            continue
        if around[0] is None or around[1] is None:
            continue
        closing, parting, closures = closing - around[0], parting + around[1], closures + 1
    movement, voice = np.zeros(len(LAGS_MS)), _rise(speech_level(wav, VOICE_ABOVE_HZ))
    relative = np.clip(gap / max(np.percentile(gap, 90), 1e-9), 0, 1.2)
    for frame, step in enumerate(np.diff(relative), start=1):
        # Between two frames, at the start of the later one.
        around_step = _around(voice, frame * FRAME_MS)
        if around_step is not None:
            movement = movement + step * around_step
    return ClipEvidence(clip, person, closures, parting, closing, movement)


def offset_of(evidence: np.ndarray) -> float:
    """Return the offset in ms at the peak of summed evidence `(401,)`."""
    return _peak_ms(gaussian_filter1d(evidence, SMOOTHED_MS))


def bootstrap_offsets(
    evidence: np.ndarray, people: Sequence[str], count: int, seed: int
) -> np.ndarray:
    """Draw people, and clips of each, with replacement, and return the offsets `(count,)`.

    Args:
        evidence: `(clips, 401)`.
        people: the person in each clip.
        count: number of draws.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    clips_of = [np.flatnonzero(np.array(people) == person) for person in sorted(set(people))]
    # Smoothing first is the same as smoothing each sum.
    smooth, offsets = gaussian_filter1d(evidence, SMOOTHED_MS, axis=1), []
    for _ in range(count):
        drawn = [clips_of[i] for i in rng.integers(len(clips_of), size=len(clips_of))]
        chosen = np.concatenate([rng.choice(clips, len(clips)) for clips in drawn])
        offsets.append(_peak_ms(smooth[chosen].sum(0)))
    return np.array(offsets)


def _peak_ms(smooth: np.ndarray) -> float:
    best = int(smooth[MARGIN_MS:-MARGIN_MS].argmax()) + MARGIN_MS
    before, peak, after = smooth[best + PARABOLA_MS * np.arange(-1, 2)]
    curvature = before - 2 * peak + after
    # At the edge of the range there is no maximum to refine.
    finer = (before - after) / (2 * curvature) if curvature < 0 else 0.0
    # Speech that follows the lips at a positive lag is late.
    return -float(LAGS_MS[best] + PARABOLA_MS * np.clip(finer, -1, 1))


def _crossing_ms(gap: np.ndarray, frame: int, threshold: float) -> float:
    before, after = gap[frame - 1], gap[frame]
    return float((frame - 0.5 + (threshold - before) / (after - before)) * FRAME_MS)


def _rise(level: np.ndarray) -> np.ndarray:
    """Return the mean level after each ms less that before: `(n,)` -> `(n + 1,)`, NaN at ends."""
    total = np.concatenate([[0.0], np.cumsum(level)])
    rise = np.full(len(total), np.nan)
    middle = total[EDGE_MS:-EDGE_MS]
    rise[EDGE_MS:-EDGE_MS] = (total[2 * EDGE_MS :] - 2 * middle + total[: -2 * EDGE_MS]) / EDGE_MS
    return rise


def _around(rise: np.ndarray, time_ms: float) -> np.ndarray | None:
    at = round(time_ms) + LAGS_MS
    if at[0] < 0 or at[-1] >= len(rise):
        return None
    values = rise[at]
    return None if np.isnan(values).any() else values
