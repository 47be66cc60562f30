"""Score map of a track (mean scores over time and offset), and its thinning for a report."""

from dataclasses import dataclass

import numpy as np

# Size limit of the maps of a batch: columns (time) and lines (shift).
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
        """Average the map down to `THIN_COLUMNS` x `THIN_LINES` cells at most, in float16.

        None if the map is empty.

        Args:
            end_s: duration, in seconds, that has `THIN_COLUMNS` columns.
        """
        if not self.scores.size:
            return None
        times, times_s = _cells(self.t_s, THIN_COLUMNS, end_s)
        shifts, shifts_ms = _cells(self.shift_ms, THIN_LINES, 0.0)
        narrow = resample_cells(self.scores, self.t_s, median_step([self.t_s]), times)
        part = resample_cells(narrow.T, self.shift_ms, median_step([self.shift_ms]), shifts).T
        return ScoreMap(times_s, shifts_ms, part.astype(np.float16))


def _cells(axis: np.ndarray, most: int, whole: float) -> tuple[np.ndarray, np.ndarray]:
    """Divide an axis into cells, `most` for a length of `whole`; return borders and centres."""
    step = median_step([axis])
    low, high = axis[0] - step / 2, axis[-1] + step / 2
    share = min(1.0, (high - low) / whole) if whole > 0 else 1.0
    count = min(round((high - low) / step), max(1, round(most * share)))
    borders = np.linspace(low, high, count + 1)
    return borders, (borders[:-1] + borders[1:]) / 2


def median_step(axes: list[np.ndarray]) -> float:
    """Return the median distance between neighbours on all axes; 1 if no axis has two values."""
    steps = np.concatenate([np.diff(axis) for axis in axes])
    return float(np.median(steps)) if len(steps) else 1.0


def resample_cells(
    values: np.ndarray, centres: np.ndarray, width: float, borders: np.ndarray
) -> np.ndarray:
    """Map cells `(n, m)`, `width` wide, to their means `(k, m)` between `borders` `(k + 1,)`."""
    # As many samples in each new cell as it holds old cells: the mean leaves none out.
    fine = int(np.ceil(np.diff(borders).max() / width)) + 1
    samples = borders[:-1, None] + np.diff(borders)[:, None] * (np.arange(fine) + 0.5) / fine
    index = np.searchsorted(centres - width / 2, samples, side="right") - 1
    nearest = index.clip(0)
    inside = (index >= 0) & (samples <= centres[nearest] + width / 2 * (1 + 1e-6))
    total = np.zeros((len(borders) - 1, values.shape[1]))
    count = np.zeros_like(total)
    for step in range(fine):
        cells = np.where(inside[:, step, None], values[nearest[:, step]], np.nan)
        known = np.isfinite(cells)
        total += np.where(known, cells, 0)
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
