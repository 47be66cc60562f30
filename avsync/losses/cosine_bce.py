"""Binary cross-entropy with the cosine similarity of a pair as its probability to be in sync.

Source: Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild (Wav2Lip, ACM Multimedia 2020), equation 1.
"""

import math

import torch
from torch import Tensor, nn


class CosineBceLoss(nn.Module):
    """Binary cross-entropy of cosine similarities, the loss of Wav2Lip's lip-sync expert.

    `E = -1 / N sum_n y_n ln p_n + (1 - y_n) ln(1 - p_n)`, with `p = v . s / (|v| |s|)`, which lies
    in [0, 1] if both embeddings come out of a ReLU.

    Args:
        floor: cosines are clamped to [floor, 1 - floor], where they get no gradient. Without it the
            loss is unbounded: one wrong pair with an all-zero embedding would dominate the batch.
    """

    chance = math.log(2)

    def __init__(self, floor: float = 1e-4) -> None:
        super().__init__()
        if not 0 < floor < 0.5:
            raise ValueError(f"floor must be between 0 and 0.5, got {floor}")
        self.floor = floor

    def forward(self, cosine: Tensor, in_sync: Tensor) -> Tensor:
        """Compute the loss in float32 or float64, also under autocast.

        Args:
            cosine: non-negative cosine similarities `(B,)`.
            in_sync: float labels `(B,)`, 1 for pairs in sync and 0 for the others.

        Returns:
            A scalar.
        """
        if in_sync.shape != cosine.shape or not in_sync.is_floating_point():
            raise ValueError(
                f"in_sync must be floats of the shape of cosine {tuple(cosine.shape)}, "
                f"got {tuple(in_sync.shape)} of {in_sync.dtype}"
            )
        precise = torch.promote_types(cosine.dtype, torch.float32)
        p = cosine.to(precise).clamp(self.floor, 1 - self.floor)
        return -(in_sync * p.log() + (1 - in_sync) * (-p).log1p()).mean()
