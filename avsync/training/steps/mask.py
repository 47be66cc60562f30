"""A separation model with its loss: one training step's forward pass."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from avsync.data.cache.features import FeatureCache
from avsync.data.sampling.mixtures import MixtureRow, Mixtures
from avsync.losses.bounded_mask import BoundedMaskLoss
from avsync.metrics.bss_eval import bss_eval_v3
from avsync.metrics.separation import si_sdr
from avsync.tasks.separation.llcp import Llcp
from avsync.tasks.separation.unet import UNet
from avsync.tasks.separation.ynet import YNet
from avsync.training.data.mixtures import collated
from avsync.training.engine.batches import MakeBatch, Parts, as_floats
from avsync.training.engine.loop import Watch

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
        """Map a batch of `mixture_batches` to the loss."""
        *seen, second, accompaniment, target = batch
        stft = self.model.stft
        mixture = stft(target + accompaniment + second)
        logits = self.model(mixture, *self._tokens(*seen))
        loss: Tensor = self.criterion(logits, stft.even_bins(stft(target)), stft.even_bins(mixture))
        return loss

    def separate(self, mixture: Tensor, *seen: Tensor) -> Tensor:
        """Map mixtures `(B, N)` and what a batch shows of the faces to voices `(B, N)`."""
        if isinstance(self.model, UNet):
            return self.model.separate(mixture)
        return self.model.separate(mixture, *self._tokens(*seen))

    def _tokens(self, *seen: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.model, UNet) or self.tokens:
            return seen
        return tuple(self.model.encode_video(each) for each in seen)


@torch.no_grad()
def chance(task: MaskStep, make_batch: MakeBatch, seed: int) -> float:
    """Return the loss of a mask that knows nothing: the share of every bin that costs least, the same for
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


class SeparationValidation:
    """Separates mixtures by the averaged `MaskStep` of a run: figures in dB, means over mixtures.

    `si_sdr_gain` is what was gained over the mixture, `_1` in those of one voice and `_2` in those
    of two; `sdr` is of BSS Eval v3, over the whole chunk. Silent targets do not count.

    Args:
        mixtures: what they are made of.
        rows: which ones.
        features: tokens in place of frames.
        batch: mixtures that are separated together.
    """

    def __init__(
        self,
        mixtures: Mixtures,
        rows: Sequence[MixtureRow],
        features: FeatureCache | None = None,
        batch: int = 10,
    ) -> None:
        self.mixtures, self.rows, self.features, self.batch = mixtures, rows, features, batch
        self.watch = Watch("si_sdr_gain")
        self.two = torch.tensor([row.second is not None for row in rows])

    @torch.no_grad()
    def __call__(self, task: nn.Module) -> dict[str, float]:
        """Figures by name, none without mixtures; the model is put into eval mode."""
        if not self.rows:
            return {}
        step = cast(MaskStep, task).eval()
        found = [
            self._figures(step, self.rows[k : k + self.batch])
            for k in range(0, len(self.rows), self.batch)
        ]
        before, after, sdr = (torch.cat(each) for each in zip(*found, strict=True))
        gain = after - before
        figures = {
            "si_sdr_gain": gain,
            "si_sdr_gain_1": gain[~self.two],
            "si_sdr_gain_2": gain[self.two],
            "si_sdr": after,
            "sdr": sdr,
        }
        means = {name: float(each.nanmean()) for name, each in figures.items()}
        return {name: mean for name, mean in means.items() if mean == mean}

    def _figures(self, step: MaskStep, rows: Sequence[MixtureRow]) -> tuple[Tensor, ...]:
        """SI-SDR of the mixtures and of the voices, and the voices' SDR, each `(B,)`."""
        drawn = [self.mixtures.make(row) for row in rows]
        device = next(step.parameters()).device
        batch = (each.to(device) for each in collated(self.mixtures, drawn, self.features))
        *seen, second, accompaniment, target = as_floats(tuple(batch))
        mixture = target + accompaniment + second
        voice = step.separate(mixture, *seen)
        # What else is in a mixture changes SIR and SAR, not SDR.
        sdr = bss_eval_v3(target[:, None].cpu(), voice[:, None].cpu()).sdr[:, 0, 0]
        return si_sdr(target, mixture).cpu(), si_sdr(target, voice).cpu(), sdr
