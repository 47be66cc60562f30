"""The best constant and the best line through a map of time and offset."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from avsync.scoring.trajectory.evidence_map import FINE_MS, Rows, merged, vertex

# Slopes that are searched: no clock that is meant to be right is further off.
MAX_PPM = 1500.0
# Rows of the first search: an hour at `MAX_PPM` moves by 18 ms in one, less than a ridge is wide.
COARSE_ROWS = 300
# How far apart at a file's end lines are that the first search tries.
STEP_MS = 20.0
# The step, at the file's ends, by which the curvature of the evidence is measured.
BEND_MS = 10.0


class Line(NamedTuple):
    """An offset of `offset_ms` at 0 s that grows by `ppm`, the nats collected along it, and the
    standard error of `ppm`.
    """

    offset_ms: float
    ppm: float
    nats: float
    error_ppm: float = 0.0

    def at(self, t_s: np.ndarray) -> np.ndarray:
        """Offsets in ms at times in seconds."""
        return self.offset_ms + self.ppm / 1000 * t_s


def fit_constant(rows: Rows, search_ms: float) -> Line:
    """Return the best constant within +-search_ms."""
    return _of_slope(rows, 0.0, search_ms)


def search_line(blocks: Rows) -> Line:
    """About the best line of up to `MAX_PPM`."""
    coarse = merged(blocks, COARSE_ROWS)
    # Neighbouring slopes part by less than a ridge is wide at the file's ends.
    step = max(1000 * STEP_MS / _length_s(blocks), 1.0)
    slopes = np.arange(-(MAX_PPM // step) * step, MAX_PPM + step, step)
    return max((_of_slope(coarse, ppm) for ppm in slopes), key=_nats)


def refine_line(rows: Rows, line: Line) -> Line:
    """Return the line with its ends moved to where the evidence is highest."""
    lean = 2 * (rows.t_s - rows.t_s.mean()) / _length_s(rows)
    path_ms = line.at(rows.t_s)
    ends = np.zeros(2)  # what is added in the middle, and at the end less in the middle
    for reach_ms in (20.0, 8.0, 3.0, 1.0, 0.4):
        steps = reach_ms * np.linspace(-1, 1, 7)
        grid = ends + np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        nats = rows.along(path_ms + grid[:, :1] + grid[:, 1:] * lean).sum(-1)
        ends = grid[np.argmax(nats)]
    ppm_of = 1000 * 2 / _length_s(rows)
    path_ms = path_ms + ends[0] + ends[1] * lean
    ppm = line.ppm + ends[1] * ppm_of
    offset_ms = float(path_ms.mean() - ppm / 1000 * rows.t_s.mean())
    error_ppm = ppm_of * _error_ms(rows, path_ms, lean)
    return Line(offset_ms, float(ppm), float(rows.along(path_ms).sum()), error_ppm)


def fit_exact(rows: Rows, rates_ppm: Sequence[float]) -> Line:
    """Return the best line of one of these slopes."""
    return max((_of_slope(rows, ppm) for ppm in rates_ppm), key=_nats)


def _nats(line: Line) -> float:
    return line.nats


def _of_slope(rows: Rows, ppm: float, search_ms: float = np.inf) -> Line:
    """Return the best line of a slope, of those that begin in the range of offsets; where it has left that
    range there is nothing to collect.
    """
    path_ms = ppm / 1000 * (rows.t_s - rows.t_s[0])
    total = rows.aligned(path_ms)
    inside = np.abs(rows.offsets_ms) <= search_ms + 1e-6
    best = int(np.argmax(np.where(inside, total, -np.inf)))
    start_ms = rows.offsets_ms[best] + FINE_MS * vertex(total, best)
    nats = rows.along(start_ms + path_ms).sum()
    return Line(float(start_ms - ppm / 1000 * rows.t_s[0]), float(ppm), float(nats))


def _error_ms(rows: Rows, path_ms: np.ndarray, lean: np.ndarray) -> float:
    """Standard error of the end's offset against the middle's, from the curvature of the nats."""

    def nats(middle: float, end: float) -> float:
        return float(rows.along(path_ms + BEND_MS * (middle + end * lean)).sum())

    top = nats(0, 0)
    a, d = nats(1, 0) + nats(-1, 0) - 2 * top, nats(0, 1) + nats(0, -1) - 2 * top
    b = (nats(1, 1) + nats(-1, -1) - nats(1, -1) - nats(-1, 1)) / 4
    information = -(d - b * b / a) if a < 0 else 0.0
    return float(BEND_MS / np.sqrt(information)) if information > 0 else np.inf


def _length_s(rows: Rows) -> float:
    return float(rows.t_s[-1] - rows.t_s[0] + rows.width_s)
