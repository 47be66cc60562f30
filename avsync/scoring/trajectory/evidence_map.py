"""Evidence map of a file over time and offset, in nats, to which offset trajectories are fitted."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from avsync.scoring.score_sums import BIN_WINDOWS, TrackScores, sum_normalisers
from avsync.timing import FPS

# Evidence is not quite nats: windows overlap, and noise lasts longer than they do. Scaled by this,
# a linear trajectory through held-out clips in sync collects half a nat more than a constant, as
# one more parameter should.
NATS = 0.25
# Resolution of the offsets: the peak of a minute's evidence is some 5 ms wide.
FINE_MS = 2.5
# Bins of a block, 2 s: errors that blur the offset of one sentence are independent of the next's.
BLOCK_BINS = 5
# Resolution of the curves that are decided like those of the engine.
STEP_MS = 20.0
# With more bins than this, neighbours are merged: an hour keeps 1.2 s resolution.
MAX_TIMES = 3000
# Share of blocks whose evidence says nothing about the offset, or something wrong: another
# speaker's voice, a cut-away.
OUTLIER_SHARE = 0.01
# A window begins at its tick; its centre, in models that see 5 frames, is this much later.
HALF_WINDOW_S = 0.1


class EvidenceMap(NamedTuple):
    """Evidence over time and offset.

    Args:
        t_s: centres `(R,)` of the time cells, in seconds.
        offsets_ms: rising offsets `(K,)`, `FINE_MS` apart.
        nats: log-likelihood `(R, K)` up to a constant.
        width_s: length of a time cell.
        normalisers: `(R,)`, see `EvidenceCurve.normaliser`; in units of evidence, not of `nats`.
            None where they are not known.
        windows: number of windows `(R,)` of each time cell, likewise.
    """

    t_s: np.ndarray
    offsets_ms: np.ndarray
    nats: np.ndarray
    width_s: float
    normalisers: np.ndarray | None = None
    windows: np.ndarray | None = None

    def along(self, path_ms: np.ndarray) -> np.ndarray:
        """Interpolate the evidence at one offset per time.

        Args:
            path_ms: trajectories of offsets `(..., R)`.

        Returns:
            Nats `(..., R)`; 0 outside the range of offsets.
        """
        position = (path_ms - self.offsets_ms[0]) / FINE_MS
        low = np.clip(np.floor(position).astype(int), 0, len(self.offsets_ms) - 2)
        part, time = position - low, np.arange(len(self.t_s))
        nats = (1 - part) * self.nats[time, low] + part * self.nats[time, low + 1]
        return np.where((part >= 0) & (part <= 1), nats, 0.0)

    def aligned(self, path_ms: np.ndarray) -> np.ndarray:
        """Return the evidence over time relative to a trajectory.

        Args:
            path_ms: offsets `(R,)`, which are shifted to 0.

        Returns:
            Nats `(R, K)` over the offset from the trajectory.
        """
        shift = np.round(path_ms / FINE_MS).astype(int)
        index = np.arange(len(self.offsets_ms)) + shift[:, None]
        known = (index >= 0) & (index < len(self.offsets_ms))
        index = index.clip(0, len(self.offsets_ms) - 1)
        return np.where(known, np.take_along_axis(self.nats, index, 1), 0.0)

    def on_engine_steps(self, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Subsample curves `(R, K)` to steps of `STEP_MS`; return them with their offsets."""
        stride = round(STEP_MS / FINE_MS)
        return curves[:, ::stride], self.offsets_ms[::stride]


def build_evidence_map(tracks: Sequence[TrackScores], scale: float = NATS) -> EvidenceMap:
    """Sum the evidence of tracks bin by bin, on offsets `FINE_MS` apart.

    Args:
        tracks: scores of the tracks, all over the same offsets.
        scale: nats per unit of evidence.

    Raises:
        ValueError: if the tracks hold no evidence.
    """
    if not any(len(track.bins) for track in tracks):
        raise ValueError("tracks must hold evidence, got none")
    bins = np.unique(np.concatenate([track.bins for track in tracks]))
    evidence = np.zeros((len(bins), len(tracks[0].offsets_ms)))
    for track in tracks:
        evidence[np.searchsorted(bins, track.bins)] += track.evidence
    width_s = BIN_WINDOWS / FPS
    t_s = (bins + 0.5) * width_s + HALF_WINDOW_S
    nats = scale * evidence
    coarse = EvidenceMap(t_s, tracks[0].offsets_ms, nats, width_s, *sum_normalisers(tracks, bins))
    return _interpolate_offsets(merge_times(coarse, MAX_TIMES))


def merge_times(evidence: EvidenceMap, at_most: int) -> EvidenceMap:
    """Sum neighbouring time cells so that about `at_most` are left."""
    return _sum_times(evidence, -(-len(evidence.t_s) // at_most))


def sum_to_blocks(evidence: EvidenceMap) -> EvidenceMap:
    """Sum bins to blocks of 2 s."""
    return _sum_times(evidence, BLOCK_BINS)


def to_block_likelihood(blocks: EvidenceMap, spread_ms: float) -> EvidenceMap:
    """Convert the evidence of blocks to robust log-likelihoods of the file's offset.

    A block has an offset of its own, normally distributed by `spread_ms` around the file's:
    sentences differ, and so do takes that were cut together. It may also be an outlier, with
    probability `OUTLIER_SHARE`, so no block can rule an offset out for the others. A block without
    information gets 0 nats everywhere.
    """
    share = np.exp(blocks.nats - blocks.nats.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    reach = int(3 * spread_ms / FINE_MS) + 1
    kernel = np.exp(-0.5 * (FINE_MS * np.arange(-reach, reach + 1) / spread_ms) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(share, ((0, 0), (reach, reach)))
    count = share.shape[1]
    blurred = sum(weight * padded[:, k : k + count] for k, weight in enumerate(kernel))
    return blocks._replace(nats=np.log((1 - OUTLIER_SHARE) * count * blurred + OUTLIER_SHARE))


def _sum_times(evidence: EvidenceMap, factor: int) -> EvidenceMap:
    """Sum time cells that lie within the same `factor` widths."""
    if factor == 1:
        return evidence
    t_s = evidence.t_s
    group = np.round((t_s - t_s[0]) / evidence.width_s).astype(int) // factor
    first = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(first, append=len(t_s))
    nats = np.add.reduceat(evidence.nats, first)
    centres_s = np.add.reduceat(t_s, first) / count
    normalisers, windows = (
        None if values is None else np.add.reduceat(values, first)
        for values in (evidence.normalisers, evidence.windows)
    )
    width_s = factor * evidence.width_s
    return EvidenceMap(centres_s, evidence.offsets_ms, nats, width_s, normalisers, windows)


def _interpolate_offsets(evidence: EvidenceMap) -> EvidenceMap:
    """Interpolate to offsets `FINE_MS` apart by cubic convolution, which keeps measured values."""
    offsets_ms = evidence.offsets_ms
    step_ms = offsets_ms[1] - offsets_ms[0]
    fine = offsets_ms[0] + FINE_MS * np.arange(
        round((offsets_ms[-1] - offsets_ms[0]) / FINE_MS) + 1
    )
    position = (fine - offsets_ms[0]) / step_ms
    low = np.minimum(position.astype(int), len(offsets_ms) - 2)
    x = position - low
    padded = np.pad(evidence.nats, ((0, 0), (1, 1)), mode="edge")
    weights = (
        -0.5 * x + x**2 - 0.5 * x**3,
        1 - 2.5 * x**2 + 1.5 * x**3,
        0.5 * x + 2 * x**2 - 1.5 * x**3,
        -0.5 * x**2 + 0.5 * x**3,
    )
    nats = sum(weight * padded[:, low + k] for k, weight in enumerate(weights))
    return evidence._replace(offsets_ms=fine, nats=np.asarray(nats))
