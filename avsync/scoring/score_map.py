"""The score map of a track: mean scores over time and shift, and how it is thinned for a report."""

from dataclasses import dataclass

import numpy as np

# Most columns (time) and lines (shift) kept of a map when a file is one of many.
THIN_COLUMNS, THIN_LINES = 240, 128


@dataclass(frozen=True)
class ScoreMap:
    """Mean score of every time segment against every shift.

    Args:
        t_s: centres of the time segments, in seconds, `(n,)`.
        shift_ms: shifts, in milliseconds, `(m,)`.
        scores: mean scores, `(n, m)`; NaN where unknown.
    """

    t_s: np.ndarray
    shift_ms: np.ndarray
    scores: np.ndarray

    def thinned(self, end_s: float) -> "ScoreMap | None":
        """Return the map no finer than a small image shows, in float16; None if it is empty.

        Args:
            end_s: duration, in seconds, that `THIN_COLUMNS` columns stand for.
        """
        if not self.scores.size:
            return None
        times, times_s = _cells(self.t_s, THIN_COLUMNS, end_s)
        shifts, shifts_ms = _cells(self.shift_ms, THIN_LINES, 0.0)
        narrow = resample_cells(self.scores, self.t_s, median_step([self.t_s]), times)
        part = resample_cells(narrow.T, self.shift_ms, median_step([self.shift_ms]), shifts).T
        return ScoreMap(times_s, shifts_ms, part.astype(np.float16))


def _cells(axis: np.ndarray, most: int, whole: float) -> tuple[np.ndarray, np.ndarray]:
    """Borders and middles of the cells that an axis is put into: `most` over the whole of it."""
    step = median_step([axis])
    low, high = axis[0] - step / 2, axis[-1] + step / 2
    share = min(1.0, (high - low) / whole) if whole > 0 else 1.0
    count = min(round((high - low) / step), max(1, round(most * share)))
    borders = np.linspace(low, high, count + 1)
    return borders, (borders[:-1] + borders[1:]) / 2


def median_step(axes: list[np.ndarray]) -> float:
    """Return the usual distance between neighbours; 1 where nothing has a neighbour."""
    steps = np.concatenate([np.diff(axis) for axis in axes])
    return float(np.median(steps)) if len(steps) else 1.0


def resample_cells(
    values: np.ndarray, centres: np.ndarray, width: float, borders: np.ndarray
) -> np.ndarray:
    """Map cells `(n, m)`, `width` wide, to the means `(k, m)` between `borders` `(k + 1,)`."""
    # A new cell is looked at in as many places as it holds old ones: averaging leaves none out.
    fine = int(np.ceil(np.diff(borders).max() / width)) + 1
    places = borders[:-1, None] + np.diff(borders)[:, None] * (np.arange(fine) + 0.5) / fine
    index = np.searchsorted(centres - width / 2, places, side="right") - 1
    nearest = index.clip(0)
    inside = (index >= 0) & (places <= centres[nearest] + width / 2 * (1 + 1e-6))
    total = np.zeros((len(borders) - 1, values.shape[1]))
    count = np.zeros_like(total)
    for step in range(fine):
        cells = np.where(inside[:, step, None], values[nearest[:, step]], np.nan)
        known = np.isfinite(cells)
        total += np.where(known, cells, 0)
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
