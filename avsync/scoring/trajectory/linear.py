"""Fit constant and linear offset trajectories to an evidence map, and name the cause of a drift."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from avsync.scoring.peak import parabola_vertex
from avsync.scoring.trajectory.evidence_map import FINE_MS, EvidenceMap, merge_times

# Slopes that are searched: no clock that is meant to be right is further off.
MAX_PPM = 1500.0
# Time cells of the first search: an hour at `MAX_PPM` moves by 18 ms in one, less than the width
# of a ridge in the map.
COARSE_TIMES = 300
# Distance, at the file's ends, between the slopes of the first search.
STEP_MS = 20.0
# Step, at the file's ends, by which the curvature of the evidence is measured.
CURVATURE_STEP_MS = 10.0
# Slope in ppm of each confusion of frame or sample rates, 1 - played / made of the frames or its
# inverse of the audio, and its description. Frames played slower than made leave the audio ahead.
RATES: tuple[tuple[float, str], ...] = (
    (1e6 * (1 - 1000 / 1001), "made at 24 fps, played at 23.976 (or made at 30, played at 29.97)"),
    (1e6 * (1 - 1001 / 1000), "made at 23.976 fps, played at 24 (or made at 29.97, played at 30)"),
    (1e6 * (1 - 24 / 25), "made at 25 fps, played at 24"),
    (1e6 * (1 - 25 / 24), "made at 24 fps, played at 25"),
    (1e6 * (1 - 24 / 25.025), "made at 25 fps, played at 23.976"),
    (1e6 * (1 - 25.025 / 24), "made at 23.976 fps, played at 25"),
    (1e6 * (1 - 44.1 / 48), "audio of 44.1 kHz played at 48"),
    (1e6 * (1 - 48 / 44.1), "audio of 48 kHz played at 44.1"),
)
# A slope is put down to a confusion of rates if it is this close to it, or as close as its own
# standard error allows.
NEAR_PPM = 40.0


class LinearTrajectory(NamedTuple):
    """Offset that changes linearly over time.

    Args:
        offset_ms: offset at 0 s.
        ppm: slope; positive = the audio gets earlier and earlier.
        nats: evidence collected along the trajectory.
        error_ppm: standard error of `ppm`.
    """

    offset_ms: float
    ppm: float
    nats: float
    error_ppm: float = 0.0

    def at(self, t_s: np.ndarray) -> np.ndarray:
        """Return the offsets in ms at times in seconds."""
        return self.offset_ms + self.ppm / 1000 * t_s


def fit_constant(evidence: EvidenceMap, search_ms: float) -> LinearTrajectory:
    """Return the best constant trajectory within +-search_ms."""
    return _fit_with_slope(evidence, 0.0, search_ms)


def search_linear(blocks: EvidenceMap) -> LinearTrajectory:
    """Grid-search the slope up to `MAX_PPM`; return the best trajectory to start from."""
    coarse = merge_times(blocks, COARSE_TIMES)
    # Neighbouring slopes differ by less than the width of a ridge at the file's ends.
    step = max(1000 * STEP_MS / _length_s(blocks), 1.0)
    slopes = np.arange(-(MAX_PPM // step) * step, MAX_PPM + step, step)
    return max((_fit_with_slope(coarse, ppm) for ppm in slopes), key=_nats)


def refine_linear(evidence: EvidenceMap, start: LinearTrajectory) -> LinearTrajectory:
    """Refine offset and slope by a grid search of decreasing step; estimate the slope's error."""
    # From -1 at one end of the file to 1 at the other.
    tilt = 2 * (evidence.t_s - evidence.t_s.mean()) / _length_s(evidence)
    path_ms = start.at(evidence.t_s)
    change = np.zeros(2)  # at the middle, and at the end relative to the middle
    for reach_ms in (20.0, 8.0, 3.0, 1.0, 0.4):
        steps = reach_ms * np.linspace(-1, 1, 7)
        grid = change + np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        nats = evidence.along(path_ms + grid[:, :1] + grid[:, 1:] * tilt).sum(-1)
        change = grid[np.argmax(nats)]
    ppm_per_ms = 1000 * 2 / _length_s(evidence)
    path_ms = path_ms + change[0] + change[1] * tilt
    ppm = start.ppm + change[1] * ppm_per_ms
    offset_ms = float(path_ms.mean() - ppm / 1000 * evidence.t_s.mean())
    error_ppm = ppm_per_ms * _tilt_error_ms(evidence, path_ms, tilt)
    nats_along = float(evidence.along(path_ms).sum())
    return LinearTrajectory(offset_ms, float(ppm), nats_along, error_ppm)


def fit_known_rates(evidence: EvidenceMap, rates_ppm: Sequence[float]) -> LinearTrajectory:
    """Return the best trajectory with one of the given slopes."""
    return max((_fit_with_slope(evidence, ppm) for ppm in rates_ppm), key=_nats)


def likely_cause(ppm: float, error_ppm: float) -> str:
    """Return the likely cause of a drift, in words.

    A confusion of rates if the slope is near one of `RATES`, else the clock of a recorder.

    Args:
        ppm: slope of the drift.
        error_ppm: standard error of the slope.
    """
    rate_ppm, cause = min(RATES, key=lambda rate: abs(rate[0] - ppm))
    if abs(rate_ppm - ppm) <= max(NEAR_PPM, min(2 * error_ppm, 0.1 * abs(rate_ppm))):
        return cause
    return f"a recorder's clock off by {abs(ppm):.0f} ppm"


def _nats(trajectory: LinearTrajectory) -> float:
    return trajectory.nats


def _fit_with_slope(
    evidence: EvidenceMap, ppm: float, search_ms: float = np.inf
) -> LinearTrajectory:
    """Return the best trajectory of a slope that begins within +-search_ms.

    Where it leaves the range of offsets there is no evidence to collect.
    """
    path_ms = ppm / 1000 * (evidence.t_s - evidence.t_s[0])
    total = evidence.aligned(path_ms).sum(0)
    inside = np.abs(evidence.offsets_ms) <= search_ms + 1e-6
    best = int(np.argmax(np.where(inside, total, -np.inf)))
    start_ms = evidence.offsets_ms[best] + FINE_MS * parabola_vertex(total, best)
    nats = evidence.along(start_ms + path_ms).sum()
    offset_ms = start_ms - ppm / 1000 * evidence.t_s[0]
    return LinearTrajectory(float(offset_ms), float(ppm), float(nats))


def _tilt_error_ms(evidence: EvidenceMap, path_ms: np.ndarray, tilt: np.ndarray) -> float:
    """Return the standard error of the end's offset relative to the middle's.

    From the Fisher information: the curvature of the log-likelihood, with the middle's offset
    marginalised.
    """

    def nats(middle: float, end: float) -> float:
        return float(evidence.along(path_ms + CURVATURE_STEP_MS * (middle + end * tilt)).sum())

    top = nats(0, 0)
    a, d = nats(1, 0) + nats(-1, 0) - 2 * top, nats(0, 1) + nats(0, -1) - 2 * top
    b = (nats(1, 1) + nats(-1, -1) - nats(1, -1) - nats(-1, 1)) / 4
    information = -(d - b * b / a) if a < 0 else 0.0
    return float(CURVATURE_STEP_MS / np.sqrt(information)) if information > 0 else np.inf


def _length_s(evidence: EvidenceMap) -> float:
    return float(evidence.t_s[-1] - evidence.t_s[0] + evidence.width_s)
