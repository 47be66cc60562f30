"""From evidence at every offset to an offset in ms, an interval, and how sure that is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avsync.scoring.result import Interval

# A peak takes up this much of the offset axis to either side; beyond it is what noise looks like.
PEAK_MS = 160.0


@dataclass(frozen=True)
class Calibration:
    """What turns a peak's height into a probability and an interval; fitted on held-out clips.

    Confidence is `sigmoid(slope * (height - middle) + margin_slope * margin)`. The interval is the
    offset +- `sqrt(floor_ms ** 2 + (blur_ms / height) ** 2)`, meant to hold in 90 % of cases.
    """

    slope: float = 2.0
    middle: float = 5.0
    margin_slope: float = 0.5
    floor_ms: float = 20.0
    blur_ms: float = 100.0


class Peak(NamedTuple):
    """The best offset in a range.

    `height` is the peak's in standard deviations of the curve elsewhere, above its median;
    `margin` is how far, in the same unit, it stands above the next best peak.
    """

    offset_ms: float
    height: float
    margin: float


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
    return Peak(_refine(smooth, offsets_ms, best), float(height), float(margin))


def confidence(peak: Peak, calibration: Calibration) -> float:
    """Probability that the true offset lies in the interval around the peak."""
    logit = calibration.slope * (peak.height - calibration.middle)
    logit += calibration.margin_slope * peak.margin
    return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def interval(peak: Peak, calibration: Calibration) -> Interval:
    """The 90 % interval around the peak, in ms."""
    half_ms = float(np.hypot(calibration.floor_ms, calibration.blur_ms / max(peak.height, 1e-3)))
    return peak.offset_ms - half_ms, peak.offset_ms + half_ms


def _refine(curve: np.ndarray, offsets_ms: np.ndarray, best: int) -> float:
    """The top of the parabola through the best point and its neighbours."""
    if best in (0, len(curve) - 1):
        return float(offsets_ms[best])
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    shift = 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -1, 1))
    return float(offsets_ms[best] + shift * (offsets_ms[best + 1] - offsets_ms[best]))
