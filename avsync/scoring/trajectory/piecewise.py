"""The best piecewise constant path through a map of time and offset."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from avsync.scoring.trajectory.evidence_map import FINE_MS, Rows, vertex

# A smaller change is no jump: single sentences of one recording differ by as much.
MIN_JUMP_MS = 60.0


class Steps(NamedTuple):
    """Offsets `levels_ms`, one more than the times `changes_s` between them, and the nats collected
    on the way.
    """

    levels_ms: tuple[float, ...]
    changes_s: tuple[float, ...]
    nats: float

    def at(self, t_s: np.ndarray) -> np.ndarray:
        """Offsets in ms at times in seconds."""
        return np.asarray(self.levels_ms)[np.searchsorted(self.changes_s, t_s)]


def fit_steps(blocks: Rows, search_ms: float, penalty: float) -> Steps:
    """Return the path within +-search_ms that collects most, each change costing `penalty` nats."""
    inside = np.flatnonzero(np.abs(blocks.offsets_ms) <= search_ms + 1e-6)
    path = inside[0] + _viterbi(blocks.nats[:, inside], penalty, round(MIN_JUMP_MS / FINE_MS))
    bounds = np.flatnonzero(np.diff(path)) + 1
    levels_ms = tuple(_level(blocks, low, high) for low, high in pairwise((0, *bounds, len(path))))
    changes_s = tuple(((blocks.t_s[bounds - 1] + blocks.t_s[bounds]) / 2).tolist())
    steps = Steps(levels_ms, changes_s, 0.0)
    return steps._replace(nats=float(blocks.along(steps.at(blocks.t_s)).sum()))


def place_changes(rows: Rows, steps: Steps) -> Steps:
    """Return the same with each change where the rows say it is."""
    bounds = np.searchsorted(rows.t_s, steps.changes_s)
    return steps._replace(changes_s=tuple(_placed(rows, np.array(steps.levels_ms), bounds)))


def _viterbi(nats: np.ndarray, penalty: float, jump: int) -> np.ndarray:
    """Return the path `(R,)` of columns that collects most of `nats` `(R, K)`; a change moves by `jump`
    columns or more.
    """
    count = nats.shape[1]
    places = np.arange(count)
    came_from = np.empty(nats.shape, np.int32)
    best = nats[0].copy()
    for r in range(1, len(nats)):
        below, above = _highest_so_far(best), count - 1 - _highest_so_far(best[::-1])[::-1]
        low, high = below[np.maximum(places - jump, 0)], above[np.minimum(places + jump, count - 1)]
        gain_low = np.where(places >= jump, best[low], -np.inf)
        gain_high = np.where(places < count - jump, best[high], -np.inf)
        source = np.where(gain_low >= gain_high, low, high)
        change = np.maximum(gain_low, gain_high) - penalty
        came_from[r] = np.where(change > best, source, places)
        best = np.maximum(change, best) + nats[r]
    path = np.empty(len(nats), np.int64)
    path[-1] = int(np.argmax(best))
    for r in range(len(nats) - 1, 0, -1):
        path[r - 1] = came_from[r, path[r]]
    return path


def _highest_so_far(values: np.ndarray) -> np.ndarray:
    """At each place, where the highest value up to it lies."""
    rises = np.concatenate([[True], values[1:] > np.maximum.accumulate(values)[:-1]])
    return np.maximum.accumulate(np.where(rises, np.arange(len(values)), 0))


def _placed(rows: Rows, levels_ms: np.ndarray, bounds: np.ndarray) -> list[float]:
    """When each change comes: the middle of what the evidence says of it, between the changes next
    to it. A change in a pause may lie anywhere in it.
    """
    edges = np.r_[0, bounds, len(rows.t_s)]
    nats = [rows.along(np.full(len(rows.t_s), level)) for level in levels_ms]
    times = []
    for i in range(len(bounds)):
        low, high = edges[i], edges[i + 2]
        gain = np.cumsum(nats[i][low:high] - nats[i + 1][low:high])[:-1]
        middles_s = rows.t_s[low:high]
        share = np.diff(middles_s) * np.exp(gain - gain.max())
        reached = np.concatenate([[0.0], share.cumsum() / share.sum()])
        times.append(float(np.interp(0.5, reached, middles_s)))
    return times


def _level(blocks: Rows, low: int, high: int) -> float:
    """Return the best offset of some blocks."""
    curve = blocks.nats[low:high].sum(0)
    best = int(np.argmax(curve))
    return float(blocks.offsets_ms[best] + FINE_MS * vertex(curve, best))
