"""Binary cross-entropy of cosines: the cosine of a pair is the probability that it is in sync.

Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech to Lip
Generation In the Wild (ACM Multimedia 2020), equation 1.
"""

import math

import torch
from torch import Tensor, nn


class CosineBceLoss(nn.Module):
    """Cross-entropy with `p = v . s / (|v| |s|)`, which lies in [0, 1] where both embeddings come
    out of a ReLU: `E = -1 / N sum_n y_n ln p_n + (1 - y_n) ln(1 - p_n)`.

    Args:
        floor: cosines nearer than this to 0 or 1 count as that near, and get no gradient. It has no
            bound there: one wrong pair whose embedding is all zeros would drown the batch.
    """

    chance = math.log(2)

    def __init__(self, floor: float = 1e-4) -> None:
        super().__init__()
        if not 0 < floor < 0.5:
            raise ValueError(f"floor must be between 0 and 0.5, got {floor}")
        self.floor = floor

    def forward(self, cosine: Tensor, in_sync: Tensor) -> Tensor:
        """Maps cosines `(B,)`, none negative, and labels `(B,)`, 1 in sync and 0 not, to a scalar.

        In float32 at least, also under autocast.
        """
        if in_sync.shape != cosine.shape or not in_sync.is_floating_point():
            raise ValueError(
                f"in_sync must be floats of the shape of cosine {tuple(cosine.shape)}, "
                f"got {tuple(in_sync.shape)} of {in_sync.dtype}"
            )
        precise = torch.promote_types(cosine.dtype, torch.float32)
        p = cosine.to(precise).clamp(self.floor, 1 - self.floor)
        return -(in_sync * p.log() + (1 - in_sync) * (-p).log1p()).mean()
