"""From evidence at every offset to an offset in ms, an interval, and how sure that is."""

from typing import NamedTuple

import numpy as np

from avsync.scoring.result import Interval
from avsync.scoring.score_sums import Curve
from avsync.tasks.calibration import Calibration

# A peak takes up this much of the offset axis to either side; beyond it is what noise looks like.
PEAK_MS = 160.0
# Lips that open when any voice begins make a broad hill. What rises sharply out of its surroundings
# of so much to either side, less the peak itself, is made by the words.
HILL_MS = 500.0
FLANK_MS = 60.0
# More height than this says nothing of whose words they are: hills are as high. From `TALL` on it
# does: only longer recordings reach that, and voices that start together do not do so for long. It
# is what a drift or a jump is known by, whose peak is broad or one of two.
ENOUGH_Z_SCORE = 5.0
TALL = 9.0
# Share of cases in which the interval is meant to hold, where the peak is the right one at all:
# nobody can be surer than that to lie in it.
HOLDS = 0.9


class Peak(NamedTuple):
    """The best offset in a range.

    `z_score` is the peak's in standard deviations of the curve elsewhere, above its median.
    `prominence` is how far it stands above the mean of the `HILL_MS` to either side, in standard
    deviations of the curve there: mostly about 2.3 by chance, 3 and more where words match.
    """

    offset_ms: float
    z_score: float
    prominence: float


def find_peak(evidence: np.ndarray, offsets_ms: np.ndarray, search_ms: float) -> Peak | None:
    """Return the best peak within +-search_ms of a curve `(K,)` over offsets `(K,)`; None without
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
    z_score = (smooth[best] - np.median(smooth[far])) / spread
    prominence = _prominence(smooth, offsets_ms, best, evidence != 0)
    return Peak(_refine(smooth, offsets_ms, best), float(z_score), prominence)


def confidence(peak: Peak, calibration: Calibration) -> float:
    """Probability that the true offset lies in the interval around the peak, at most `HOLDS`."""
    logit = calibration.bias + calibration.z_score * min(peak.z_score, ENOUGH_Z_SCORE)
    logit += calibration.prominence * peak.prominence + max(peak.z_score - TALL, 0.0)
    return float(HOLDS / (1 + np.exp(-np.clip(logit, -30, 30))))


def interval(peak: Peak, calibration: Calibration) -> Interval:
    """Return the interval around the peak, in ms, that holds in `HOLDS` of the cases."""
    half_ms = float(np.hypot(calibration.floor_ms, calibration.blur_ms / max(peak.z_score, 1e-3)))
    return peak.offset_ms - half_ms, peak.offset_ms + half_ms


def _prominence(curve: np.ndarray, offsets_ms: np.ndarray, best: int, known: np.ndarray) -> float:
    distance = np.abs(offsets_ms - offsets_ms[best])
    flanks = known & (distance > FLANK_MS) & (distance <= HILL_MS)
    around = flanks | (distance <= FLANK_MS)
    if flanks.sum() < 3:
        return 0.0
    return float((curve[best] - curve[flanks].mean()) / (curve[around].std() + 1e-9))


def _refine(curve: np.ndarray, offsets_ms: np.ndarray, best: int) -> float:
    """Return the top of the parabola through the best point and its neighbours."""
    if best in (0, len(curve) - 1):
        return float(offsets_ms[best])
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    shift = 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -1, 1))
    return float(offsets_ms[best] + shift * (offsets_ms[best + 1] - offsets_ms[best]))


# A peak must rise so many standard deviations out of its surroundings to be believed to lie beyond
# the search. Of clips that no benchmark uses, 6 to 12 s long, all that were moved reach 6; one in
# twenty voices of someone else reaches 5, the highest 6.2.
LEAST_RISE = 5.0
# What fits within the search must rise by less than this share of it.
MOST_WITHIN = 0.75
# Fewer offsets than this around a point are no surroundings.
LEAST_AROUND = 12


def lies_beyond(curve: Curve, search_ms: float) -> bool:
    """Return whether the voice fits best at an offset beyond +-`search_ms`, and beyond doubt.

    What rises over `HILL_MS` is left out: sentences that begin every few seconds fit anyone's lips
    broadly, again and again.
    """
    smooth = np.convolve(np.pad(curve.evidence, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    inside = np.abs(curve.offsets_ms) <= search_ms + 1e-6
    step_ms = curve.offsets_ms[1] - curve.offsets_ms[0]
    reach, inner = round(HILL_MS / step_ms), round(FLANK_MS / step_ms)
    if inside.all() or not inside.any() or len(smooth) < 2 * reach + 1:
        return False
    flanks = np.ones(2 * reach + 1)
    flanks[reach - inner : reach + inner + 1] = 0
    known = curve.evidence != 0
    around = np.convolve(known, flanks, mode="same")
    hill = np.convolve(np.where(known, smooth, 0), flanks, mode="same") / np.maximum(around, 1)
    rise = np.where(known & (around >= LEAST_AROUND), smooth - hill, 0.0)
    best = int(np.argmax(rise))
    elsewhere = (np.abs(curve.offsets_ms - curve.offsets_ms[best]) > PEAK_MS) & (rise != 0)
    if rise[inside].max() > MOST_WITHIN * rise[best] or elsewhere.sum() < 2 * LEAST_AROUND:
        return False
    return bool(rise[best] >= LEAST_RISE * rise[elsewhere].std())
