"""What is kept of a face's scores, whatever the length of the file: a row of evidence per bin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Scores are summed over this many windows: 0.4 s, about a syllable or two.
BIN_WINDOWS = 10


class Curve(NamedTuple):
    """Evidence `(K,)` at offsets `(K,)` in ms, rising; positive = the audio leads."""

    evidence: np.ndarray
    offsets_ms: np.ndarray


def summed(curves: Sequence[Curve]) -> Curve:
    """Return the evidence of several curves over the same offsets together."""
    return Curve(np.sum([curve.evidence for curve in curves], axis=0), curves[0].offsets_ms)


@dataclass(frozen=True)
class TrackScores:
    """How well one face fits the audio at every offset, bin by bin.

    Args:
        first_tick: where the track begins.
        last_tick: where it ends.
        offsets_ms: `(K,)`, rising; positive = the audio leads.
        bins: `(B,)`, rising; bin b holds the windows that start at ticks `b * BIN_WINDOWS` to `(b +
            1) * BIN_WINDOWS - 1`.
        evidence: `(B, K)`, summed over the bin's windows: score less the window's mean over all
            offsets. An offset that asks for audio before the file's beginning or after its end has
            no evidence for or against: 0.
        windows: `(B,)`, how many windows each bin sums.
        motion: `(B,)`, mean change of the crop from tick to tick, in its own contrast.
        far: evidence of the whole track at these offsets and further ones, which are only asked
            whether the voice lies beyond them; None where no further ones were scored.
    """

    first_tick: int
    last_tick: int
    offsets_ms: np.ndarray
    bins: np.ndarray
    evidence: np.ndarray
    windows: np.ndarray
    motion: np.ndarray
    far: Curve | None = None

    @property
    def near(self) -> Curve:
        """The evidence of the whole track."""
        return Curve(self.evidence.sum(0), self.offsets_ms)


class TrackSums:
    """Sums over the bins of one face while its file is scored; `first_tick` is its first, `near`
    `(F,)` says which offsets are kept bin by bin.
    """

    def __init__(self, first_tick: int, near: Tensor) -> None:
        self.first_tick = self.last_tick = first_tick
        self.near, self.whole = near, np.zeros(len(near))
        self.evidence: dict[int, np.ndarray] = {}
        self.windows: dict[int, int] = {}
        self.motion: dict[int, list[float]] = {}

    def add_scores(self, start: int, evidence: Tensor) -> None:
        """Add the evidence `(W, F)` of windows from tick `start` on."""
        self.whole += evidence.sum(0).numpy()
        evidence = evidence[:, self.near]
        bins = torch.arange(start, start + len(evidence)) // BIN_WINDOWS
        for number in bins.unique().tolist():
            rows = evidence[bins == number]
            self.evidence[number] = self.evidence.get(number, 0) + rows.sum(0).numpy()
            self.windows[number] = self.windows.get(number, 0) + len(rows)

    def add_motion(self, start: int, crops: np.ndarray) -> None:
        green = crops[..., 1].astype(np.float32)
        change = np.abs(np.diff(green, axis=0)).mean((1, 2)) / (green[1:].std((1, 2)) + 4)
        for tick, value in enumerate(change.tolist(), start):
            self.motion.setdefault(tick // BIN_WINDOWS, []).append(value)

    def result(self, offsets_ms: np.ndarray) -> TrackScores:
        """Return what was found, `offsets_ms` `(F,)` being all that were scored."""
        bins = sorted(self.evidence)
        near = self.near.numpy()
        none = np.zeros((0, int(near.sum())), np.float32)
        return TrackScores(
            first_tick=self.first_tick,
            last_tick=self.last_tick,
            offsets_ms=offsets_ms[near],
            bins=np.array(bins, np.int64),
            evidence=np.stack([self.evidence[b] for b in bins]) if bins else none,
            windows=np.array([self.windows[b] for b in bins], np.int64),
            motion=np.array([np.mean(self.motion[b]) for b in bins]),
            far=None if near.all() else Curve(self.whole, offsets_ms),
        )
