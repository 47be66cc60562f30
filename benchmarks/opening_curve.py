"""How lips open around a sound, and when they start to: a ramp through many plosives."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

FITTED_MS = (-80.0, 70.0)
# Of many clips laid over each other, and of one alone.
BLUR_MS, EXPOSURE_MS = 50.0, 20.0
LEAST_CURVES = 5


class Curve(NamedTuple):
    """The lips around a sound, from closed to open.

    `at_ms` (n,) are picture times less the time of the sound; for a closure they run backwards, so
    that there too the curve rises from zero. `opening` (n,) is 0 for closed lips and 1 for their
    opening a little later.
    """

    at_ms: np.ndarray
    opening: np.ndarray


class Ramp(NamedTuple):
    """A curve that leaves `base` at `start_ms` and bends towards base + height within `rise_ms`."""

    base: float
    height: float
    start_ms: float
    rise_ms: float

    def __call__(self, at_ms: np.ndarray, blur_ms: float) -> np.ndarray:
        """The curve at times `(n,)` each the mean over `blur_ms` around it."""
        half = max(blur_ms, 0.1) / 2
        rise = self._grown(at_ms - self.start_ms + half) - self._grown(at_ms - self.start_ms - half)
        return self.base + self.height * rise / (2 * half)

    def _grown(self, t: np.ndarray) -> np.ndarray:
        # The integral of 1 - exp(-t / rise) from 0.
        return np.where(t > 0, t + self.rise_ms * np.expm1(-np.maximum(t, 0) / self.rise_ms), 0.0)


def fit_ramp(curve: Curve, blur_ms: float) -> Ramp:
    """The ramp nearest to the points of a curve, by robust squares."""
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


def lay_over(curves: Sequence[Curve | None]) -> Curve | None:
    """One curve of all points; None where there are none."""
    there = [curve for curve in curves if curve is not None]
    if not there:
        return None
    return Curve(*(np.concatenate(part) for part in zip(*there, strict=True)))


def start_ms(curves: Sequence[Curve | None], blur_ms: float) -> float:
    """When the lips of some curves leave zero together; NaN where too few were seen."""
    seen = lay_over(curves)
    if seen is None or sum(curve is not None for curve in curves) < LEAST_CURVES:
        return float("nan")
    return fit_ramp(seen, blur_ms).start_ms


def own_start_ms(curve: Curve, ramp: Ramp) -> float:
    """When one release starts: the ramp of its word moved to fit its few pictures best."""
    moves = np.arange(-60.0, 61.0)
    use = (curve.at_ms > FITTED_MS[0]) & (curve.at_ms < FITTED_MS[1])
    moved = ramp(curve.at_ms[use] - moves[:, None], EXPOSURE_MS)
    best = int(np.abs(moved - curve.opening[use]).sum(1).argmin())
    return float(ramp.start_ms + moves[best])
