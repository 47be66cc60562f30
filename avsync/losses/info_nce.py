"""InfoNCE: cross-entropy that makes the pair in sync score highest among its candidates.

Source: van den Oord, Li and Vinyals, Representation Learning with Contrastive Predictive Coding
(2018), equation 4, as AVST uses it on the scores of a joint transformer (Chen, Xie, Afouras,
Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild, BMVC 2021).
"""

import torch.nn.functional as F
from torch import Tensor, nn


class InfoNceLoss(nn.Module):
    """InfoNCE over K candidates: `E = -1 / B sum_b ln(exp(s_b+ / t) / sum_k exp(s_bk / t))`.

    The loss at chance level is ln K.

    Args:
        temperature: t, which divides the scores: 1 for the scores of a learned head, which learns
            their scale; about 0.07 for cosine similarities.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, scores: Tensor, in_sync: Tensor) -> Tensor:
        """Compute the cross-entropy of the candidates in sync.

        Args:
            scores: scores `(B, K)`; -inf excludes a candidate.
            in_sync: index `(B,)` in [0, K) of the candidate in sync.

        Returns:
            A scalar.
        """
        if scores.ndim != 2 or in_sync.shape != scores.shape[:1]:
            shapes = f"{tuple(scores.shape)} and {tuple(in_sync.shape)}"
            raise ValueError(f"scores and in_sync must be (B, K) and (B,), got {shapes}")
        return F.cross_entropy(scores / self.temperature, in_sync)
