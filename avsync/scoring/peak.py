"""Find the peak of an evidence curve, and map it to an offset and a confidence.

The confidence rule is `confidence`; its coefficients are a `Calibration`, stored beside the
weights. `scoring/decision.py` holds the thresholds that a confidence is compared with, and
`benchmarks/sync/calibration.py` fits the coefficients of this rule: change both. The interval is in
`scoring/offset_error.py`.
"""

from typing import NamedTuple

import numpy as np

from avsync.scoring.score_sums import EvidenceCurve
from avsync.tasks.calibration import Calibration

# Offsets further than this from the peak are noise, by which its z-score is measured.
PEAK_MS = 160.0
# Lips that open whenever anyone begins to speak make a broad hill in the curve; only words that
# match make a peak that is sharp against its surroundings: `SURROUNDINGS_MS` to either side, less
# `PEAK_CORE_MS` for the peak itself.
SURROUNDINGS_MS = 500.0
PEAK_CORE_MS = 60.0
# A z-score above this does not show that the words match: broad hills reach it too. From
# `HIGH_Z_SCORE` on it does: only longer recordings reach that, and two people who start to speak
# together do not do so for long. That is how a drift or a jump is recognised, whose peak is broad
# or one of two.
MAX_CALIBRATED_Z_SCORE = 5.0
HIGH_Z_SCORE = 9.0
# Share of cases in which the interval holds the true offset when the peak is the right one, and so
# the highest confidence that there is.
INTERVAL_COVERAGE = 0.9
# Minimum rise of an out-of-range peak above its surroundings, in standard deviations. Of clips that
# no benchmark uses, 6 to 12 s long, all that were moved reach 6; of clips with someone else's voice
# one in twenty reaches 5, the highest 6.2.
MIN_RISE = 5.0
# The highest rise within the search range must be less than this share of the out-of-range peak's.
MAX_RISE_WITHIN_SEARCH = 0.75
# With fewer offsets around a point than this, its rise is not measured.
MIN_SURROUNDING_OFFSETS = 12


class Peak(NamedTuple):
    """The best offset within a range of offsets.

    Args:
        offset_ms: its offset, interpolated between the steps; positive = the audio leads.
        z_score: height above the median of the curve elsewhere, in standard deviations of it.
        prominence: height above the mean of the curve within `SURROUNDINGS_MS`, in standard
            deviations of it there: about 2.3 by chance, 3 and more where the words match.
        likelihood: mean log-likelihood of the windows at its offset against chance, in nats: high
            where each window by itself points there, negative where many point elsewhere. 0 where
            it is not known.
    """

    offset_ms: float
    z_score: float
    prominence: float
    likelihood: float = 0.0


def find_peak(curve: EvidenceCurve, search_ms: float) -> Peak | None:
    """Return the best peak of a curve within +-search_ms.

    None without evidence. Offsets beyond the search range only serve to estimate the noise.
    """
    evidence, offsets_ms = curve.evidence, curve.offsets_ms
    inside = np.abs(offsets_ms) <= search_ms + 1e-6
    if not inside.any() or not np.isfinite(evidence).all() or np.ptp(evidence) == 0:
        return None
    smooth = _smooth(evidence)
    best = int(np.argmax(np.where(inside, smooth, -np.inf)))
    # Evidence of exactly 0 means that no window had audio at that offset: it is no noise.
    noise = (np.abs(offsets_ms - offsets_ms[best]) > PEAK_MS) & (evidence != 0)
    if noise.sum() < 8:
        return None
    # Median and spread are of the rest: a high peak must not hide in its own variance.
    spread = smooth[noise].std() + 1e-9
    z_score = (smooth[best] - np.median(smooth[noise])) / spread
    prominence = _prominence(smooth, offsets_ms, best, evidence != 0)
    step_ms = offsets_ms[1] - offsets_ms[0]
    offset_ms = float(offsets_ms[best] + parabola_vertex(smooth, best) * step_ms)
    likelihood = 0.0
    if curve.normaliser is not None and curve.windows:
        likelihood = float(evidence[best] - curve.normaliser) / curve.windows
    return Peak(offset_ms, float(z_score), prominence, likelihood)


def confidence(peak: Peak, calibration: Calibration) -> float:
    """Return the probability that the interval around the peak holds the true offset.

    A logistic regression on z-score, prominence and likelihood, at most `INTERVAL_COVERAGE`.
    """
    logit = calibration.bias + calibration.z_score * min(peak.z_score, MAX_CALIBRATED_Z_SCORE)
    logit += calibration.prominence * peak.prominence + max(peak.z_score - HIGH_Z_SCORE, 0.0)
    logit += calibration.likelihood * peak.likelihood
    return float(INTERVAL_COVERAGE / (1 + np.exp(-np.clip(logit, -30, 30))))


def is_out_of_range(curve: EvidenceCurve, search_ms: float) -> bool:
    """Return whether the audio certainly fits best at an offset beyond +-`search_ms`.

    The mean of the surroundings is taken off first: sentences that begin every few seconds fit
    anyone's lips broadly, again and again.
    """
    smooth = _smooth(curve.evidence)
    inside = np.abs(curve.offsets_ms) <= search_ms + 1e-6
    step_ms = curve.offsets_ms[1] - curve.offsets_ms[0]
    reach, core = round(SURROUNDINGS_MS / step_ms), round(PEAK_CORE_MS / step_ms)
    if inside.all() or not inside.any() or len(smooth) < 2 * reach + 1:
        return False
    flanks = np.ones(2 * reach + 1)
    flanks[reach - core : reach + core + 1] = 0
    known = curve.evidence != 0
    around = np.convolve(known, flanks, mode="same")
    hill = np.convolve(np.where(known, smooth, 0), flanks, mode="same") / np.maximum(around, 1)
    rise = np.where(known & (around >= MIN_SURROUNDING_OFFSETS), smooth - hill, 0.0)
    best = int(np.argmax(rise))
    elsewhere = (np.abs(curve.offsets_ms - curve.offsets_ms[best]) > PEAK_MS) & (rise != 0)
    if elsewhere.sum() < 2 * MIN_SURROUNDING_OFFSETS:
        return False
    if rise[inside].max() > MAX_RISE_WITHIN_SEARCH * rise[best]:
        return False
    return bool(rise[best] >= MIN_RISE * rise[elsewhere].std())


def _smooth(evidence: np.ndarray) -> np.ndarray:
    return np.convolve(np.pad(evidence, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")


def _prominence(curve: np.ndarray, offsets_ms: np.ndarray, best: int, known: np.ndarray) -> float:
    distance = np.abs(offsets_ms - offsets_ms[best])
    flanks = known & (distance > PEAK_CORE_MS) & (distance <= SURROUNDINGS_MS)
    around = flanks | (distance <= PEAK_CORE_MS)
    if flanks.sum() < 3:
        return 0.0
    return float((curve[best] - curve[flanks].mean()) / (curve[around].std() + 1e-9))


def parabola_vertex(curve: np.ndarray, best: int) -> float:
    """Return the vertex of the parabola through a point and its neighbours, in steps from it."""
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, top, after = curve[best - 1 : best + 2]
    curvature = before - 2 * top + after
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (before - after) / curvature, -1, 1))
