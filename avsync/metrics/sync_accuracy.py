"""Sync accuracy by the protocol of VocaLiST's evaluation (Kadandale et al., Interspeech 2022, and
its public code).

Every window of 5 video frames is scored against the audio windows up to 15 frames before and after
it; a longer context is the mean of the scores of the 5-frame windows around it.
"""

import torch
from torch import Tensor

MAX_SHIFT = 15
WINDOW_FRAMES = 5


def score_band(scores: Tensor, max_shift: int = MAX_SHIFT) -> Tensor:
    """Maps all pairs `(n, n)`, video window i against audio window j, to a band `(n, 2 max_shift +
    1)`.

    Column c holds j = i + c - max_shift, NaN where there is no such window.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores must be (n, n), got {tuple(scores.shape)}")
    n = len(scores)
    index = torch.arange(n)[:, None] + torch.arange(-max_shift, max_shift + 1)
    inside = (index >= 0) & (index < n)
    band = scores.gather(1, index.clamp(0, n - 1))
    return band.masked_fill(~inside, torch.nan)


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
    """Offsets `(n,)` in frames of the highest score of each row of a band `(n, C)`; positive = the
    audio leads.
    """
    max_shift = band.shape[1] // 2
    return max_shift - band.nan_to_num(-torch.inf).argmax(1)
