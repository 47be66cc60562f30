"""The map of time and offset that a file's faces give together, in nats, as shapes of offset(t) are
laid through it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from avsync.scoring.score_sums import BIN_WINDOWS, TrackScores
from avsync.timing import FPS

# Evidence is not quite nats: windows overlap, and noise lasts longer than they do. Scaled by this,
# a line through held-out clips in sync collects half a nat more than a constant, as one parameter
# more should.
NATS = 0.25
# Offsets lie this close together: what a minute says of its offset is some 5 ms wide.
FINE_MS = 2.5
# Bins of a block, 2 s: what blurs the offset of one sentence does not blur the next one's alike.
BLOCK_BINS = 5
# How far apart the curves are sampled that are judged as the engine's are.
STEP_MS = 20.0
# More bins are merged: an hour keeps rows of 1.2 s.
MAX_ROWS = 3000
# So many blocks tell nothing of the offset, or something false: another's voice, a cut-away.
ASTRAY = 0.01
# A window begins at its tick; its middle, in the models that see 5 frames, is this much later.
HALF_WINDOW_S = 0.1


class Rows(NamedTuple):
    """Evidence in nats `(R, K)` at times `t_s` `(R,)`, each for `width_s` seconds, and at offsets
    `offsets_ms` `(K,)`, rising by `FINE_MS`.
    """

    t_s: np.ndarray
    offsets_ms: np.ndarray
    nats: np.ndarray
    width_s: float

    def along(self, path_ms: np.ndarray) -> np.ndarray:
        """Return the nats `(..., R)` on paths of offsets `(..., R)`; 0 outside the range of offsets."""
        place = (path_ms - self.offsets_ms[0]) / FINE_MS
        low = np.clip(np.floor(place).astype(int), 0, len(self.offsets_ms) - 2)
        part, row = place - low, np.arange(len(self.t_s))
        nats = (1 - part) * self.nats[row, low] + part * self.nats[row, low + 1]
        return np.where((part >= 0) & (part <= 1), nats, 0.0)

    def aligned(self, path_ms: np.ndarray) -> np.ndarray:
        """Return the nats `(K,)` summed over rows, each moved so that the path `(R,)` lies at 0."""
        place = np.arange(len(self.offsets_ms)) + np.round(path_ms / FINE_MS).astype(int)[:, None]
        known = (place >= 0) & (place < len(self.offsets_ms))
        place = place.clip(0, len(self.offsets_ms) - 1)
        return np.where(known, np.take_along_axis(self.nats, place, 1), 0.0).sum(0)

    def on_steps(self, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a curve over the offsets, and the offsets, on the engine's own steps."""
        some = round(STEP_MS / FINE_MS)
        return curve[::some], self.offsets_ms[::some]


def rows_of(tracks: Sequence[TrackScores], scale: float = NATS) -> Rows:
    """Return the evidence of tracks, summed bin by bin. ValueError where they hold none."""
    if not any(len(track.bins) for track in tracks):
        raise ValueError("tracks must hold evidence, got none")
    bins = np.unique(np.concatenate([track.bins for track in tracks]))
    evidence = np.zeros((len(bins), len(tracks[0].offsets_ms)))
    for track in tracks:
        evidence[np.searchsorted(bins, track.bins)] += track.evidence
    width_s = BIN_WINDOWS / FPS
    t_s = (bins + 0.5) * width_s + HALF_WINDOW_S
    return _finer(merged(Rows(t_s, tracks[0].offsets_ms, scale * evidence, width_s), MAX_ROWS))


def merged(rows: Rows, at_most: int) -> Rows:
    """Neighbouring rows summed so that there are about so many at most."""
    return _summed(rows, -(-len(rows.t_s) // at_most))


def _summed(rows: Rows, some: int) -> Rows:
    """Rows that lie in the same stretch of `some` widths summed."""
    if some == 1:
        return rows
    group = np.round((rows.t_s - rows.t_s[0]) / rows.width_s).astype(int) // some
    first = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(first, append=len(rows.t_s))
    t_s = np.add.reduceat(rows.t_s, first) / count
    return Rows(t_s, rows.offsets_ms, np.add.reduceat(rows.nats, first), some * rows.width_s)


def in_blocks(rows: Rows) -> Rows:
    """Bins summed to blocks of 2 s."""
    return _summed(rows, BLOCK_BINS)


def believed(blocks: Rows, spread_ms: float) -> Rows:
    """Return what each block says of an offset that is true for the whole: 0 where it tells nothing.

    A block has its own offset, `spread_ms` around the true one: sentences differ, and so do takes
    that were cut together. And it may be astray: no block can rule an offset out for the others.
    """
    share = np.exp(blocks.nats - blocks.nats.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    reach = int(3 * spread_ms / FINE_MS) + 1
    kernel = np.exp(-0.5 * (FINE_MS * np.arange(-reach, reach + 1) / spread_ms) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(share, ((0, 0), (reach, reach)))
    count = share.shape[1]
    blurred = sum(weight * padded[:, k : k + count] for k, weight in enumerate(kernel))
    return blocks._replace(nats=np.log((1 - ASTRAY) * count * blurred + ASTRAY))


def vertex(curve: np.ndarray, best: int) -> float:
    """Where, in steps from `best`, the parabola through it and its neighbours has its top."""
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -1, 1))


def _finer(rows: Rows) -> Rows:
    """Return the same with offsets `FINE_MS` apart, by cubic convolution, which keeps what is measured."""
    step_ms = rows.offsets_ms[1] - rows.offsets_ms[0]
    fine = rows.offsets_ms[0] + FINE_MS * np.arange(
        round((rows.offsets_ms[-1] - rows.offsets_ms[0]) / FINE_MS) + 1
    )
    place = (fine - rows.offsets_ms[0]) / step_ms
    low = np.minimum(place.astype(int), len(rows.offsets_ms) - 2)
    x = place - low
    padded = np.pad(rows.nats, ((0, 0), (1, 1)), mode="edge")
    weights = (
        -0.5 * x + x**2 - 0.5 * x**3,
        1 - 2.5 * x**2 + 1.5 * x**3,
        0.5 * x + 2 * x**2 - 1.5 * x**3,
        -0.5 * x**2 + 0.5 * x**3,
    )
    nats = sum(weight * padded[:, low + k] for k, weight in enumerate(weights))
    return Rows(rows.t_s, fine, np.asarray(nats), rows.width_s)
