"""Sync accuracy by the published protocol of Perfect Match and VocaLiST.

Every window of video frames is scored against the audio windows up to 15 frames before and after
it, which gives a band of 31 candidate shifts; a longer context averages the scores of neighbouring
windows.

Source: Kadandale et al., VocaLiST (Interspeech 2022) and, before it, Chung et al., Perfect Match
(ICASSP 2019), as in the public code of VocaLiST.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MAX_SHIFT = 15
CANDIDATES = 2 * MAX_SHIFT + 1
WINDOW_FRAMES = 5
# Score that the public code gives to candidates outside the clip. In the mean over a context it
# excludes that shift, as scores are in the tens at most.
MASKED_SCORE = -1000.0


class WindowOffsets(NamedTuple):
    """Offsets of the windows of a clip, and their accuracy.

    Args:
        offsets: offset of each window `(n,)` in frames, positive if the audio leads.
        accuracy: share of right offsets, in [0, 1].
    """

    offsets: Tensor
    accuracy: float


def measure_window_offsets(
    band: Tensor, context: int, window: int = WINDOW_FRAMES, tolerance: int = 1
) -> WindowOffsets:
    """Measure offsets and accuracy of a clip in sync, by the published protocol.

    Over several clips take the mean of the accuracies: clips count equally, whatever their length.

    Args:
        band: scores `(n, 31)`, higher = better in sync; column c is audio window i + c - 15 or,
            where there is none, the score against an empty window. NaN is never chosen.
        context: video frames of a decision. If equal to `window`, nothing is averaged: that is the
            protocol of models trained for one context.
        window: video frames of a score.
        tolerance: frames by which a right offset may be off.

    Source: VocaLiST's public evaluation.
    """
    offsets = best_offsets(average_context(mask_outside_clip(band), context, window))
    return WindowOffsets(offsets, float((offsets.abs() <= tolerance).float().mean()))


def score_band(scores: Tensor, outside: Tensor | None = None) -> Tensor:
    """Select the band of 31 candidate shifts from the scores of all pairs of windows.

    Args:
        scores: scores `(n, n)` of video window i against audio window j.
        outside: scores `(n,)` of each video window against an empty audio window; NaN if None.

    Returns:
        Band `(n, 31)`; column c holds j = i + c - 15 or, if there is no such window, `outside[i]`.
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
    """Return the audio windows `(count, 31)` of each video window's band, by index.

    Indices below 0 or from `count` on lie outside the clip.
    """
    shifts = torch.arange(-MAX_SHIFT, MAX_SHIFT + 1, device=device)
    return torch.arange(count, device=device)[:, None] + shifts


def mask_outside_clip(band: Tensor) -> Tensor:
    """Mask the candidates of a band `(n, 31)` that lie outside the clip, as the public code does.

    That code masks rows within 15 windows of the beginning on the left only. Clips of under 30
    windows therefore keep some scores against empty windows on the right.
    """
    if band.ndim != 2 or band.shape[1] != CANDIDATES or not len(band):
        raise ValueError(f"band must be (n, {CANDIDATES}), got {tuple(band.shape)}")
    index = candidate_windows(len(band), band.device)
    at_beginning = index[:, MAX_SHIFT, None] < MAX_SHIFT
    outside = torch.where(at_beginning, index < 0, index >= len(band))
    return band.masked_fill(outside, MASKED_SCORE)


def average_context(band: Tensor, context: int, window: int = WINDOW_FRAMES) -> Tensor:
    """Average a band over the windows within a context, as the public code does.

    A context covers (context - window) / 2 windows to either side, one more before than after if
    that is odd, and fewer at the clip's ends. A shift that is NaN for any window of the context
    stays NaN.

    Args:
        band: scores `(n, C)`.
        context: video frames of the context.
        window: video frames of a score.

    Returns:
        Averaged scores `(n, C)`.
    """
    if context < window:
        raise ValueError(f"context must be at least the window of {window} frames, got {context}")
    before, after = (context - window + 1) // 2, (context - window) // 2
    n = len(band)
    rows = [band[max(0, i - before) : i + after + 1].mean(0) for i in range(n)]
    return torch.stack(rows)


def best_offsets(band: Tensor) -> Tensor:
    """Return the offset `(n,)` in frames of each row's highest score in a band `(n, C)`.

    Positive if the audio leads. Of equal scores the first wins; NaN is never chosen.
    """
    max_shift = band.shape[1] // 2
    return max_shift - band.nan_to_num(-torch.inf).argmax(1)
