"""Mouth opening around a speech sound, and its start by fitting a ramp through many plosives."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

FITTED_MS = (-80.0, 70.0)
# Temporal blur of the aligned curves of many clips, and of a single clip.
BLUR_MS, EXPOSURE_MS = 50.0, 20.0
MIN_CURVES = 5


class Curve(NamedTuple):
    """Mouth opening around a speech sound, from closed to open.

    `at_ms` `(n,)` are frame times relative to the sound. They are reversed for a closure, so that
    its curve rises from zero as well. `opening` `(n,)` is normalised: 0 for closed lips, 1 for the
    opening shortly after the sound.
    """

    at_ms: np.ndarray
    opening: np.ndarray


class Ramp(NamedTuple):
    """A curve that leaves `base` at `start_ms` and saturates exponentially at base + height."""

    base: float
    height: float
    start_ms: float
    rise_ms: float

    def __call__(self, at_ms: np.ndarray, blur_ms: float) -> np.ndarray:
        """Evaluate the curve at times `(n,)`, averaged over a window of `blur_ms` around each."""
        half, t = max(blur_ms, 0.1) / 2, at_ms - self.start_ms
        rise = self._integral(t + half) - self._integral(t - half)
        return self.base + self.height * rise / (2 * half)

    def _integral(self, t: np.ndarray) -> np.ndarray:
        # The integral of 1 - exp(-t / rise) from 0.
        return np.where(t > 0, t + self.rise_ms * np.expm1(-np.maximum(t, 0) / self.rise_ms), 0.0)


def fit_ramp(curve: Curve, blur_ms: float) -> Ramp:
    """Fit a ramp to a curve by robust least squares."""
    use = (curve.at_ms > FITTED_MS[0]) & (curve.at_ms < FITTED_MS[1])
    at_ms, opening = curve.at_ms[use], curve.opening[use]
    fit = least_squares(
        lambda p: Ramp(*p)(at_ms, blur_ms) - opening,
        [0, 1, 5, 25],
        bounds=([-0.5, 0.2, -60, 4], [0.5, 3, 60, 90]),
        loss="soft_l1",
        f_scale=0.1,
    )
    return Ramp(*map(float, fit.x))


def merge_curves(curves: Sequence[Curve | None]) -> Curve | None:
    """Merge the points of all curves into one; None if there are no curves."""
    measured = [curve for curve in curves if curve is not None]
    if not measured:
        return None
    return Curve(*(np.concatenate(part) for part in zip(*measured, strict=True)))


def start_ms(curves: Sequence[Curve | None], blur_ms: float) -> float:
    """Estimate when the merged curves leave zero; NaN if there are fewer than `MIN_CURVES`."""
    merged = merge_curves(curves)
    if merged is None or sum(curve is not None for curve in curves) < MIN_CURVES:
        return float("nan")
    return fit_ramp(merged, blur_ms).start_ms


def own_start_ms(curve: Curve, ramp: Ramp) -> float:
    """Estimate the start of a single release: shift its word's ramp to fit its few frames."""
    shifts_ms = np.arange(-60.0, 61.0)
    use = (curve.at_ms > FITTED_MS[0]) & (curve.at_ms < FITTED_MS[1])
    shifted = ramp(curve.at_ms[use] - shifts_ms[:, None], EXPOSURE_MS)
    best = int(np.abs(shifted - curve.opening[use]).sum(1).argmin())
    return float(ramp.start_ms + shifts_ms[best])
