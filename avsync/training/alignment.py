"""A help for fresh models: encoders that agree before a transformer has learnt to compare them."""

import torch.nn.functional as F
from torch import Tensor, nn

from avsync.losses.cosine_bce import CosineBceLoss
from avsync.tasks.meeting import meeting


class Alignment(nn.Module):
    """The lip expert's loss on the mean tokens of two encoders that end in a ReLU.

    A transformer that compares tokens has nothing to go by until these say when something happens,
    and they are not told before it compares: the loss of a fresh VocaLiST may stay at ln 2 for
    days. The cosine needs no learning of its own.

    Args:
        weight: of the loss; 0 for none.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"align must be 0 or more, got {weight}")
        self.weight = weight
        self.criterion = CosineBceLoss()

    def forward(self, loss: Tensor, video: Tensor, audio: Tensor, in_sync: Tensor) -> Tensor:
        """Maps a loss, tokens of pictures `(B / K, T, D)` and of sound `(B, S, D)` and labels
        `(B,)` to the same loss, whose gradient is that of the alignment as well.
        """
        if not self.weight:
            return loss
        heard = audio.mean(1)
        cosine = F.cosine_similarity(meeting(video.mean(1), heard), heard)
        aligned = self.weight * self.criterion(cosine, in_sync)
        return loss + (aligned - aligned.detach())
