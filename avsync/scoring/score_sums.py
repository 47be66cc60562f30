"""Scores of a face track, summed to evidence per bin of `BIN_WINDOWS` windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

# Windows of a bin: 0.4 s, about a syllable or two.
BIN_WINDOWS = 10
# Bins of a block, 1.2 s: longer than a window and the audio that its embedding is computed from, so
# that what blurs one block is independent of the next.
BLOCK_BINS = 3


class EvidenceCurve(NamedTuple):
    """Evidence over offsets, of a whole recording or a part of it.

    Args:
        evidence: `(K,)`.
        offsets_ms: `(K,)`, rising; positive = the audio leads.
        blocks: `(N, K)`, the evidence of the independent blocks of which `evidence` is the sum;
            None where they are not known.
        normaliser: sum over the windows of the logarithm of the mean of exp(evidence) over the
            offsets: evidence less this is log-likelihood against chance, in nats. None where it is
            not known.
        windows: number of windows that were summed.
    """

    evidence: np.ndarray
    offsets_ms: np.ndarray
    blocks: np.ndarray | None = None
    normaliser: float | None = None
    windows: int = 0


def sum_curves(curves: Sequence[EvidenceCurve]) -> EvidenceCurve:
    """Sum the evidence of curves over the same offsets."""
    blocks = [curve.blocks for curve in curves if curve.blocks is not None]
    normalisers = [curve.normaliser for curve in curves if curve.normaliser is not None]
    return EvidenceCurve(
        np.sum([curve.evidence for curve in curves], axis=0),
        curves[0].offsets_ms,
        np.concatenate(blocks) if len(blocks) == len(curves) else None,
        sum(normalisers) if len(normalisers) == len(curves) else None,
        sum(curve.windows for curve in curves),
    )


def sum_bins(evidence: np.ndarray, bins: np.ndarray, size: int = BLOCK_BINS) -> np.ndarray:
    """Sum the evidence `(B, K)` of rising bins `(B,)` to that of blocks `(N, K)` of `size` bins."""
    first = np.flatnonzero(np.diff(bins // size, prepend=-1))
    return np.add.reduceat(evidence, first, axis=0) if len(first) else evidence[:0]


@dataclass(frozen=True)
class TrackScores:
    """Evidence of one face track at every offset, bin by bin.

    Args:
        first_tick: first tick of the track.
        last_tick: last tick of the track.
        offsets_ms: `(K,)`, rising; positive = the audio leads.
        bins: `(B,)`, rising; bin b holds the windows that start at ticks `b * BIN_WINDOWS` to `(b +
            1) * BIN_WINDOWS - 1`.
        evidence: `(B, K)`, summed over the bin's windows: score less the window's mean over all
            offsets. 0, no evidence, at an offset that needs audio before the file's beginning or
            after its end.
        windows: `(B,)`, number of windows in each bin.
        normalisers: `(B,)`, see `EvidenceCurve.normaliser`; None where they are not known.
        motion: `(B,)`, mean change of the crop from tick to tick, relative to its contrast.
        wide_curve: evidence of the whole track over these and further offsets, for the
            out-of-range test; None if no further offsets were scored.
        wide: `(B, F)`, that evidence bin by bin; None likewise.
    """

    first_tick: int
    last_tick: int
    offsets_ms: np.ndarray
    bins: np.ndarray
    evidence: np.ndarray
    windows: np.ndarray
    motion: np.ndarray
    wide_curve: EvidenceCurve | None = None
    wide: np.ndarray | None = None
    normalisers: np.ndarray | None = None

    @property
    def curve(self) -> EvidenceCurve:
        """Evidence of the whole track."""
        return self.part(slice(None))

    def part(self, bins: slice) -> EvidenceCurve:
        """Evidence of some of the bins."""
        blocks = sum_bins(self.evidence[bins], self.bins[bins])
        normaliser = None if self.normalisers is None else float(self.normalisers[bins].sum())
        evidence = self.evidence[bins].sum(0)
        windows = int(self.windows[bins].sum())
        return EvidenceCurve(evidence, self.offsets_ms, blocks, normaliser, windows)


def sum_normalisers(
    tracks: Sequence[TrackScores], bins: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the normalisers and the number of windows `(R,)` of bins, summed over tracks.

    Args:
        tracks: scores of faces.
        bins: numbers `(R,)` of bins, rising, among which are all of the tracks'.

    Returns:
        The normalisers, None if those of a track are not known; the number of windows.
    """
    normalisers, windows = np.zeros(len(bins)), np.zeros(len(bins), np.int64)
    known = True
    for track in tracks:
        at = np.searchsorted(bins, track.bins)
        windows[at] += track.windows
        if track.normalisers is None:
            known = False
        else:
            normalisers[at] += track.normalisers
    return normalisers if known else None, windows


class TrackSums:
    """Accumulator of the scores of one face track while its file is scored.

    Args:
        first_tick: first tick of the track.
        near: `(F,)` bool, the offsets by which the track is decided; the others are further.
    """

    def __init__(self, first_tick: int, near: Tensor) -> None:
        self.first_tick = self.last_tick = first_tick
        self.near, self.whole = near.numpy(), np.zeros(len(near))
        self.evidence: dict[int, np.ndarray] = {}
        self.windows: dict[int, int] = {}
        self.normalisers: dict[int, float] = {}
        self.motion: dict[int, list[float]] = {}

    def add_scores(self, start: int, evidence: Tensor, normalisers: Tensor) -> None:
        """Add the evidence `(W, F)` and normalisers `(W,)` of windows from tick `start` on."""
        self.whole += evidence.sum(0).numpy()
        bins = torch.arange(start, start + len(evidence)) // BIN_WINDOWS
        for number in bins.unique().tolist():
            windows = evidence[bins == number]
            self.evidence[number] = self.evidence.get(number, 0) + windows.sum(0).numpy()
            self.windows[number] = self.windows.get(number, 0) + len(windows)
            added = float(normalisers[bins == number].sum())
            self.normalisers[number] = self.normalisers.get(number, 0.0) + added

    def add_motion(self, start: int, motion: np.ndarray) -> None:
        """Add the motion `(T - 1,)` between the crops from tick `start` on."""
        for tick, value in enumerate(motion.tolist(), start):
            self.motion.setdefault(tick // BIN_WINDOWS, []).append(value)

    def result(self, offsets_ms: np.ndarray) -> TrackScores:
        """Return the scores; `offsets_ms` `(F,)` are all offsets that were scored."""
        bins = sorted(self.evidence)
        none = np.zeros((0, len(offsets_ms)), np.float32)
        wide = np.stack([self.evidence[b] for b in bins]) if bins else none
        only_near = bool(self.near.all())
        return TrackScores(
            first_tick=self.first_tick,
            last_tick=self.last_tick,
            offsets_ms=offsets_ms[self.near],
            bins=np.array(bins, np.int64),
            evidence=wide[:, self.near],
            windows=np.array([self.windows[b] for b in bins], np.int64),
            motion=np.array([np.mean(self.motion[b]) for b in bins]),
            wide_curve=None if only_near else EvidenceCurve(self.whole, offsets_ms),
            wide=None if only_near else wide,
            normalisers=np.array([self.normalisers[b] for b in bins]),
        )


def crop_motion(crops: np.ndarray) -> np.ndarray:
    """Return the change from crop to crop, relative to their contrast.

    Args:
        crops: `(T, H, W, 3)` uint8.

    Returns:
        `(T - 1,)`.
    """
    green = [cv2.extractChannel(crop, 1) for crop in crops]
    return np.array(
        [
            cv2.mean(cv2.absdiff(before, after))[0] / (cv2.meanStdDev(after)[1].item() + 4)
            for before, after in pairwise(green)
        ]
    )
