"""Fit a piecewise constant offset trajectory by penalised changepoint detection (Viterbi)."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from avsync.scoring.peak import parabola_vertex
from avsync.scoring.trajectory.evidence_map import FINE_MS, EvidenceMap

# A smaller change is no jump: single sentences of one recording differ by as much.
MIN_JUMP_MS = 60.0


class PiecewiseTrajectory(NamedTuple):
    """Offset that is constant between changepoints.

    Args:
        levels_ms: offsets of the segments.
        changes_s: times of the changepoints between them, one fewer.
        nats: evidence collected along the trajectory.
    """

    levels_ms: tuple[float, ...]
    changes_s: tuple[float, ...]
    nats: float

    def at(self, t_s: np.ndarray) -> np.ndarray:
        """Return the offsets in ms at times in seconds."""
        return np.asarray(self.levels_ms)[np.searchsorted(self.changes_s, t_s)]


def fit_piecewise(blocks: EvidenceMap, search_ms: float, penalty: float) -> PiecewiseTrajectory:
    """Find the piecewise constant trajectory that maximises evidence less a penalty per change.

    Args:
        blocks: evidence map.
        search_ms: offsets stay within +-search_ms.
        penalty: nats that each changepoint costs.
    """
    inside = np.flatnonzero(np.abs(blocks.offsets_ms) <= search_ms + 1e-6)
    path = inside[0] + _viterbi(blocks.nats[:, inside], penalty, round(MIN_JUMP_MS / FINE_MS))
    bounds = np.flatnonzero(np.diff(path)) + 1
    levels_ms = tuple(
        _best_offset(blocks, low, high) for low, high in pairwise((0, *bounds, len(path)))
    )
    changes_s = tuple(((blocks.t_s[bounds - 1] + blocks.t_s[bounds]) / 2).tolist())
    trajectory = PiecewiseTrajectory(levels_ms, changes_s, 0.0)
    return trajectory._replace(nats=float(blocks.along(trajectory.at(blocks.t_s)).sum()))


def refine_change_points(
    evidence: EvidenceMap, trajectory: PiecewiseTrajectory
) -> PiecewiseTrajectory:
    """Locate each changepoint at the median of its posterior between the neighbouring ones.

    A change in a pause, which has no evidence, may lie anywhere in it.
    """
    t_s, levels_ms = evidence.t_s, trajectory.levels_ms
    edges = np.r_[0, np.searchsorted(t_s, trajectory.changes_s), len(t_s)]
    nats = [evidence.along(np.full(len(t_s), level)) for level in levels_ms]
    changes_s = []
    for i in range(len(trajectory.changes_s)):
        low, high = edges[i], edges[i + 2]
        gain = np.cumsum(nats[i][low:high] - nats[i + 1][low:high])[:-1]
        centres_s = t_s[low:high]
        share = np.diff(centres_s) * np.exp(gain - gain.max())
        cumulative = np.concatenate([[0.0], share.cumsum() / share.sum()])
        changes_s.append(float(np.interp(0.5, cumulative, centres_s)))
    return trajectory._replace(changes_s=tuple(changes_s))


def _viterbi(nats: np.ndarray, penalty: float, jump: int) -> np.ndarray:
    """Return the path of columns that collects most evidence, by the Viterbi algorithm.

    Args:
        nats: evidence `(R, K)`.
        penalty: cost of a change of column.
        jump: columns that a change moves by at least.

    Returns:
        Columns `(R,)`.
    """
    count = nats.shape[1]
    columns = np.arange(count)
    came_from = np.empty(nats.shape, np.int32)
    best = nats[0].copy()
    for r in range(1, len(nats)):
        below, above = _running_argmax(best), count - 1 - _running_argmax(best[::-1])[::-1]
        low = below[np.maximum(columns - jump, 0)]
        high = above[np.minimum(columns + jump, count - 1)]
        gain_low = np.where(columns >= jump, best[low], -np.inf)
        gain_high = np.where(columns < count - jump, best[high], -np.inf)
        source = np.where(gain_low >= gain_high, low, high)
        change = np.maximum(gain_low, gain_high) - penalty
        came_from[r] = np.where(change > best, source, columns)
        best = np.maximum(change, best) + nats[r]
    path = np.empty(len(nats), np.int64)
    path[-1] = int(np.argmax(best))
    for r in range(len(nats) - 1, 0, -1):
        path[r - 1] = came_from[r, path[r]]
    return path


def _running_argmax(values: np.ndarray) -> np.ndarray:
    """Return for each index that of the highest value up to it."""
    rises = np.concatenate([[True], values[1:] > np.maximum.accumulate(values)[:-1]])
    return np.maximum.accumulate(np.where(rises, np.arange(len(values)), 0))


def _best_offset(blocks: EvidenceMap, low: int, high: int) -> float:
    """Return the best constant offset of blocks low to high."""
    curve = blocks.nats[low:high].sum(0)
    best = int(np.argmax(curve))
    return float(blocks.offsets_ms[best] + FINE_MS * parabola_vertex(curve, best))
