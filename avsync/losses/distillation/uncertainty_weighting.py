"""Uncertainty weighting: learn the weights of several losses.

Source: Kendall, Gal and Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses (CVPR 2018),
with the regulariser of Liebel and Koerner, Auxiliary Tasks in Multi-Task Learning (2018), which
keeps the sum positive. MTDVocaLiST (Chen et al., ICASSP 2024) weights its thirteen losses this way.
"""

import torch
from torch import Tensor, nn


class UncertaintyWeighting(nn.Module):
    """Weighted sum of losses with learned weights: `E = sum_k L_k / (2 p_k^2) + ln(1 + p_k^2)`.

    Its parameters must be given to the model's optimiser. The optimal p of a loss L satisfies
    `2 p^4 = L (1 + p^2)`, so small losses get large weights.

    Args:
        count: number of losses.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"count must be positive, got {count}")
        self.uncertainty = nn.Parameter(torch.ones(count))

    def forward(self, losses: Tensor) -> Tensor:
        """Map losses `(K,)` to a scalar."""
        if losses.shape != self.uncertainty.shape:
            shape = tuple(losses.shape)
            raise ValueError(f"losses must be ({len(self.uncertainty)},), got {shape}")
        variance = self.uncertainty.square()
        return (losses / (2 * variance) + variance.log1p()).sum()
