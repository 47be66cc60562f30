"""A help for fresh models: encoders that agree before a transformer has learnt to compare them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.losses.info_nce import InfoNceLoss


class Alignment(nn.Module):
    """InfoNCE over the mean tokens of two encoders: each window must find its own audio among those
    of the batch, and each audio its window.

    A transformer that compares tokens has nothing to go by until these say when something happens,
    and they are not told before it compares: the loss of a fresh VocaLiST may stay at ln 2 for
    days. Cosines need no learning of their own.

    Args:
        weight: of the loss; 0 for none.
        temperature: divides the cosines.
    """

    def __init__(self, weight: float, temperature: float = 0.07) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"align must be 0 or more, got {weight}")
        self.weight = weight
        self.criterion = InfoNceLoss(temperature)

    def forward(self, loss: Tensor, video: Tensor, audio: Tensor, in_sync: Tensor) -> Tensor:
        """Map a loss, tokens of frames `(B / K, T, D)` and of audio `(B, S, D)`, K for each
        window in turn, and labels `(B,)` to the same loss, whose gradient is that of the alignment
        as well.
        """
        own = in_sync.nonzero()[:, 0]
        if not self.weight or not len(own):
            return loss
        window = own // (len(audio) // len(video))
        seen, heard = F.normalize(video.mean(1), dim=-1), F.normalize(audio.mean(1), dim=-1)
        cosines = seen[window] @ heard.mT
        there = self.criterion(cosines, own)
        back = self.criterion(cosines[:, own].mT, torch.arange(len(own), device=own.device))
        aligned = self.weight * (there + back)
        return loss + (aligned - aligned.detach())
