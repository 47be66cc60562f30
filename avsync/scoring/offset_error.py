"""Interval of an offset, from the evidence of the independent blocks of a recording.

The offset is an M-estimate: it maximises a sum of the evidence of windows. By the sandwich formula
(Huber, 1967) its variance is the sum over independent blocks of the squared slope of their
evidence at the peak, divided by the squared curvature of the whole curve there. Windows overlap and
neighbours see the same speech, so blocks must be longer than they reach (`BLOCK_BINS`). With the
length of the speech the curvature grows in proportion and the sum of squared slopes too, so the
error falls by the square root. Nothing is assumed of the scale of a model's scores.

A jackknife over blocks gives the same figures (within 3 % from 12 blocks on), at more cost.
"""

from typing import NamedTuple

import numpy as np

from avsync.scoring.peak import Peak
from avsync.scoring.result import Interval
from avsync.tasks.calibration import Calibration

# Smoothing of the curve as in `find_peak`, from five offsets to the three around the peak.
SMOOTHING = 0.25 * np.array([[1, 2, 1, 0, 0], [0, 1, 2, 1, 0], [0, 0, 1, 2, 1]], np.float64).T
REACH = 2
# The error that follows from the height of a peak has the weight of this number of blocks: a few
# blocks are too few to estimate their own spread, and those of one sentence may err together.
EXPECTED_BLOCKS = 4


class StandardError(NamedTuple):
    """Standard error of an offset in ms, and the number of blocks that it was estimated from."""

    ms: float
    blocks: int


def standard_error(blocks: np.ndarray, offsets_ms: np.ndarray, peak: Peak) -> StandardError | None:
    """Return the standard error of the offset of a peak of the summed evidence.

    Args:
        blocks: evidence `(N, K)` of independent blocks, whose sum has the peak.
        offsets_ms: their offsets `(K,)`, evenly spaced.
        peak: the peak that `find_peak` finds in the sum.

    Returns:
        None for fewer than two blocks with evidence, or where the sum has no maximum at the peak.
    """
    step_ms = float(offsets_ms[1] - offsets_ms[0])
    best = round((peak.offset_ms - float(offsets_ms[0])) / step_ms)
    if not REACH <= best < len(offsets_ms) - REACH:
        return None
    around = blocks[:, best - REACH : best + REACH + 1].astype(np.float64)
    around = around[(around != 0).any(1)]
    count = len(around)
    # The offset is where the slope of the parabola through the summed points is 0; the share of a
    # block in the error is the slope of its own parabola there.
    before, middle, after = (around @ SMOOTHING).T
    slopes, curvatures = (after - before) / 2, before - 2 * middle + after
    curvature = float(curvatures.sum())
    if count < 2 or curvature >= 0:
        return None
    vertex = -float(slopes.sum()) / curvature
    shares = slopes + vertex * curvatures
    # They sum to 0 by the choice of the peak, which costs a degree of freedom.
    ms = step_ms * np.sqrt((shares**2).sum() * count / (count - 1)) / -curvature
    return StandardError(float(ms), count)


def interval(peak: Peak, calibration: Calibration, error: StandardError | None = None) -> Interval:
    """Return the interval around the peak, in ms, that holds in `INTERVAL_COVERAGE` of cases.

    It covers the measuring error only. That of the model's zero, `zero_uncertainty_ms` of the
    calibration, is the same for all files.

    Args:
        peak: the peak.
        calibration: calibration of the model.
        error: standard error of the offset; without it, or with a calibration that has no
            `error_scale`, the interval follows from the height of the peak alone.
    """
    expected_ms = calibration.blur_ms / max(peak.z_score, 1e-3)
    if error is None or calibration.error_scale == 0:
        half_ms = float(np.hypot(calibration.floor_ms, expected_ms))
    else:
        share = error.blocks / (error.blocks + EXPECTED_BLOCKS)
        spread_ms = calibration.error_scale * error.ms
        variance = share * spread_ms**2 + (1 - share) * expected_ms**2
        half_ms = float(np.hypot(calibration.floor_ms, np.sqrt(variance)))
    return peak.offset_ms - half_ms, peak.offset_ms + half_ms
