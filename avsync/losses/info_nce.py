"""InfoNCE: the pair in sync must score highest of all pairs that share its window of lips.

van den Oord, Li and Vinyals, Representation Learning with Contrastive Predictive Coding (2018),
equation 4, as AVST uses it on the scores of a joint transformer: Chen, Xie, Afouras, Nagrani,
Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild (BMVC 2021).
"""

import torch.nn.functional as F
from torch import Tensor, nn


class InfoNceLoss(nn.Module):
    """Cross-entropy over K candidates: `E = -1 / B sum_b ln(exp(s_b+ / t) / sum_k exp(s_bk / t))`.

    A model that knows nothing costs ln K.

    Args:
        temperature: t. Scores of a learned head find their own scale: 1. For cosines, about 0.07.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, scores: Tensor, in_sync: Tensor) -> Tensor:
        """Maps scores `(B, K)`, -inf for candidates that are not to be counted, and the places
        `(B,)` in [0, K) of those in sync to a scalar.
        """
        if scores.ndim != 2 or in_sync.shape != scores.shape[:1]:
            shapes = f"{tuple(scores.shape)} and {tuple(in_sync.shape)}"
            raise ValueError(f"scores and in_sync must be (B, K) and (B,), got {shapes}")
        return F.cross_entropy(scores / self.temperature, in_sync)
