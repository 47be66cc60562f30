"""Sync accuracy by the published protocol: VocaLiST (Kadandale et al., Interspeech 2022) and,
before it, Perfect Match (Chung et al., 2019), as VocaLiST's public code has it.

Every window of video frames is scored against the audio windows up to 15 frames before and after
it, a row of 31 candidates; a longer context is the mean of the rows of the windows around it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MAX_SHIFT = 15
CANDIDATES = 2 * MAX_SHIFT + 1
WINDOW_FRAMES = 5
# What the public code writes over a candidate that lies outside the clip. In the mean of a context
# it bars that shift, as scores are some tens at most.
BARRED = -1000.0


class WindowOffsets(NamedTuple):
    """Offsets `(n,)` found for the windows of a clip, in frames, positive = the audio leads; and
    the share of them, in [0, 1], that is right.
    """

    offsets: Tensor
    accuracy: float


def measure_window_offsets(
    band: Tensor, context: int, window: int = WINDOW_FRAMES, tolerance: int = 1
) -> WindowOffsets:
    """The published protocol for one clip whose true offset is 0. Over clips, take the mean of the
    accuracies: every clip counts the same, however long.

    Args:
        band: scores `(n, 31)`, higher = better in sync; column c is audio window i + c - 15, and
            where there is none the score against an empty window. NaN is never chosen.
        context: video frames of a decision. Where it is the window nothing is averaged: one model
            for each context.
        window: video frames that a score has seen.
        tolerance: frames by which a right offset may be off.
    """
    offsets = best_offsets(average_context(mask_outside_clip(band), context, window))
    return WindowOffsets(offsets, float((offsets.abs() <= tolerance).float().mean()))


def score_band(scores: Tensor, outside: Tensor | None = None) -> Tensor:
    """Maps all pairs `(n, n)`, video window i against audio window j, to a band `(n, 31)`.

    Column c holds j = i + c - 15. Where there is no such window it holds `outside[i]`, of `(n,)`
    scores against an empty window, or NaN.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores must be (n, n), got {tuple(scores.shape)}")
    n = len(scores)
    if outside is None:
        outside = scores.new_full((n,), torch.nan)
    elif outside.shape != (n,):
        raise ValueError(f"outside must be ({n},), got {tuple(outside.shape)}")
    index = candidate_windows(n, scores.device)
    band = scores.gather(1, index.clamp(0, n - 1))
    return torch.where((index >= 0) & (index < n), band, outside[:, None])


def candidate_windows(count: int, device: torch.device | None = None) -> Tensor:
    """Numbers `(count, 31)` of the audio windows that each video window meets; some are none."""
    shifts = torch.arange(-MAX_SHIFT, MAX_SHIFT + 1, device=device)
    return torch.arange(count, device=device)[:, None] + shifts


def mask_outside_clip(band: Tensor) -> Tensor:
    """A band `(n, 31)` with -1000 for the candidates outside the clip, as the public code does it.

    There, a row within 15 of the beginning is never looked at for its end. Clips of under 30
    windows therefore keep some scores against empty windows, on the right.
    """
    if band.ndim != 2 or band.shape[1] != CANDIDATES or not len(band):
        raise ValueError(f"band must be (n, {CANDIDATES}), got {tuple(band.shape)}")
    index = candidate_windows(len(band), band.device)
    at_beginning = index[:, MAX_SHIFT, None] < MAX_SHIFT
    barred = torch.where(at_beginning, index < 0, index >= len(band))
    return band.masked_fill(barred, BARRED)


def average_context(band: Tensor, context: int, window: int = WINDOW_FRAMES) -> Tensor:
    """Mean of a band `(n, C)` over the windows that a context of that many frames holds.

    h = (context - window) / 2 windows to either side, one more before than after where that does
    not halve; fewer at the clip's ends. A shift that is unknown for any window of the context stays
    NaN.
    """
    if context < window:
        raise ValueError(f"context must be at least the window of {window} frames, got {context}")
    before, after = (context - window + 1) // 2, (context - window) // 2
    n = len(band)
    rows = [band[max(0, i - before) : i + after + 1].mean(0) for i in range(n)]
    return torch.stack(rows)


def best_offsets(band: Tensor) -> Tensor:
    """Offsets `(n,)` in frames of the highest score of each row of a band `(n, C)`, the first of
    equals; positive = the audio leads.
    """
    max_shift = band.shape[1] // 2
    return max_shift - band.nan_to_num(-torch.inf).argmax(1)
