"""From evidence at every offset to an offset in ms, an interval, and how sure that is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avsync.scoring.result import Interval

# A peak takes up this much of the offset axis to either side; beyond it is what noise looks like.
PEAK_MS = 160.0
# Lips that open when any voice begins make a broad hill; what rises out of its surroundings of so
# much to either side is made by the words themselves.
CREST_MS = 120.0
# Share of cases in which the interval is meant to hold, where the peak is the right one at all:
# nobody can be surer than that to lie in it.
HOLDS = 0.9


@dataclass(frozen=True)
class Calibration:
    """What turns a peak into a probability and an interval; fitted on held-out clips.

    Confidence is `HOLDS * sigmoid(bias + margin * peak.margin + crest * peak.crest + crest_margin *
    peak.crest_margin)`: no weight is negative, so more evidence never makes it less sure. The
    interval is the offset +- `sqrt(floor_ms ** 2 + (blur_ms / height) ** 2)`.
    """

    bias: float = -6.0
    margin: float = 0.8
    crest: float = 0.3
    crest_margin: float = 0.2
    floor_ms: float = 20.0
    blur_ms: float = 100.0


class Peak(NamedTuple):
    """The best offset in a range.

    `height` is the peak's in standard deviations of the curve elsewhere, above its median; `margin`
    is how far, in the same unit, it stands above the next best peak. `crest` and `crest_margin` are
    both for the curve less its mean over `CREST_MS` to either side: how sharp the peak is.
    """

    offset_ms: float
    height: float
    margin: float
    crest: float
    crest_margin: float


def find_peak(evidence: np.ndarray, offsets_ms: np.ndarray, search_ms: float) -> Peak | None:
    """The best peak within +-search_ms of a curve `(K,)` over offsets `(K,)`; None without
    evidence.

    Offsets beyond the search range serve to tell what noise looks like, nothing more.
    """
    inside = np.abs(offsets_ms) <= search_ms + 1e-6
    if not inside.any() or not np.isfinite(evidence).all() or np.ptp(evidence) == 0:
        return None
    smooth = np.convolve(np.pad(evidence, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    best = int(np.argmax(np.where(inside, smooth, -np.inf)))
    # Where no window could be asked the evidence is exactly 0, which is no noise.
    far = (np.abs(offsets_ms - offsets_ms[best]) > PEAK_MS) & (evidence != 0)
    if far.sum() < 8:
        return None
    # The median and the spread are of the rest: a high peak must not hide in its own variance.
    spread = smooth[far].std() + 1e-9
    height = (smooth[best] - np.median(smooth[far])) / spread
    margin = (smooth[best] - smooth[far].max()) / spread
    sharp = smooth - _mean_around(smooth, round(CREST_MS / (offsets_ms[1] - offsets_ms[0])))
    crest = sharp[best] / (sharp[far].std() + 1e-9)
    crest_margin = (sharp[best] - sharp[far].max()) / (sharp[far].std() + 1e-9)
    figures = (float(value) for value in (height, margin, crest, crest_margin))
    return Peak(_refine(smooth, offsets_ms, best), *figures)


def confidence(peak: Peak, calibration: Calibration) -> float:
    """Probability that the true offset lies in the interval around the peak, at most `HOLDS`."""
    logit = (
        calibration.bias
        + calibration.margin * peak.margin
        + calibration.crest * peak.crest
        + calibration.crest_margin * peak.crest_margin
    )
    return float(HOLDS / (1 + np.exp(-np.clip(logit, -30, 30))))


def interval(peak: Peak, calibration: Calibration) -> Interval:
    """The interval around the peak, in ms, that holds in `HOLDS` of the cases."""
    half_ms = float(np.hypot(calibration.floor_ms, calibration.blur_ms / max(peak.height, 1e-3)))
    return peak.offset_ms - half_ms, peak.offset_ms + half_ms


def _mean_around(curve: np.ndarray, reach: int) -> np.ndarray:
    """The mean over `reach` neighbours to either side of each point `(K,)`."""
    kernel = np.full(2 * reach + 1, 1 / (2 * reach + 1))
    return np.convolve(np.pad(curve, reach, mode="edge"), kernel, mode="valid")


def _refine(curve: np.ndarray, offsets_ms: np.ndarray, best: int) -> float:
    """The top of the parabola through the best point and its neighbours."""
    if best in (0, len(curve) - 1):
        return float(offsets_ms[best])
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    shift = 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -1, 1))
    return float(offsets_ms[best] + shift * (offsets_ms[best + 1] - offsets_ms[best]))
