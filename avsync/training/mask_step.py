"""A separation model with its loss: one training step's forward pass."""

import math

import torch
from torch import Tensor, nn

from avsync.losses.bounded_mask import BoundedMaskLoss
from avsync.tasks.llcp import Llcp
from avsync.tasks.unet import UNet
from avsync.tasks.ynet import YNet
from avsync.training.batches import MakeBatch, Parts

# Batches that chance is worked out from.
CHANCE_BATCHES = 4


class MaskStep(nn.Module):
    """What `fit` trains: the bounded mask that leaves the target's voice.

    Args:
        model: a separation task.
        tokens: what is seen comes as tokens of its frozen encoder, not as frames.
    """

    def __init__(self, model: UNet | YNet | Llcp, tokens: bool = False) -> None:
        super().__init__()
        self.model, self.tokens = model, tokens
        self.criterion = BoundedMaskLoss(model.sources)

    def forward(self, *batch: Tensor) -> Tensor:
        """Maps a batch of `mixture_batches` to the loss."""
        *seen, second, accompaniment, target = batch
        stft = self.model.stft
        mixture = stft(target + accompaniment + second)
        logits = self.model(mixture, *self._tokens(*seen))
        loss: Tensor = self.criterion(logits, stft.even_bins(stft(target)), stft.even_bins(mixture))
        return loss

    def separate(self, mixture: Tensor, *seen: Tensor) -> Tensor:
        """Maps mixtures `(B, N)` and what a batch shows of the faces to voices `(B, N)`."""
        if isinstance(self.model, UNet):
            return self.model.separate(mixture)
        return self.model.separate(mixture, *self._tokens(*seen))

    def _tokens(self, *seen: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.model, UNet) or self.tokens:
            return seen
        return tuple(self.model.encode_video(each) for each in seen)


@torch.no_grad()
def chance(task: MaskStep, make_batch: MakeBatch, seed: int) -> float:
    """The loss of a mask that knows nothing: the share of every bin that costs least, the same for
    all bins of all mixtures.
    """
    stft, criterion, losses = task.model.stft, task.criterion, []
    parts = Parts(make_batch, seed, CHANCE_BATCHES)
    for number in range(CHANCE_BATCHES):
        *_, second, accompaniment, target = parts[number].tensors
        mixture = stft.even_bins(stft(target + accompaniment + second))
        target = stft.even_bins(stft(target))
        real = torch.tensor([1.0, 0.0]).view(2, 1, 1).expand(len(target), 2, *target.shape[1:])
        # The loss is a parabola of the bounded mask; here it goes through three of its points.
        half = 0.5 * criterion.bound
        below, zero, above = (
            float(criterion(real * math.atanh(at), target, mixture)) for at in (-0.5, 0.0, 0.5)
        )
        bend, slope = (below + above - 2 * zero) / (2 * half**2), (above - below) / (2 * half)
        losses.append(zero - slope**2 / (4 * bend))
    return sum(losses) / len(losses)
