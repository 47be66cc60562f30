"""Training step and validation of separators that estimate a mask (Y-Net, U-Net, LLCP)."""

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
from avsync.training.data.mixtures import collate_mixtures
from avsync.training.engine.batches import BatchDataset, MakeBatch, as_floats
from avsync.training.engine.early_stop import Watch

# Batches from which the chance level is computed.
CHANCE_BATCHES = 4


class MaskStep(nn.Module):
    """A separator with the loss of its bounded mask: a training step's forward pass.

    Args:
        model: the separator.
        tokens: batches contain tokens of the frozen visual encoder instead of frames.
    """

    def __init__(self, model: UNet | YNet | Llcp, tokens: bool = False) -> None:
        super().__init__()
        self.model, self.tokens = model, tokens
        self.criterion = BoundedMaskLoss(model.sources)

    def forward(self, *batch: Tensor) -> Tensor:
        """Map a batch of `mixture_batches` to the loss."""
        *video, second, accompaniment, target = batch
        stft = self.model.stft
        mixture = stft(target + accompaniment + second)
        logits = self.model(mixture, *self._visual_tokens(*video))
        loss: Tensor = self.criterion(logits, stft.even_bins(stft(target)), stft.even_bins(mixture))
        return loss

    def separate(self, mixture: Tensor, *video: Tensor) -> Tensor:
        """Map mixtures `(B, N)` and the video of a batch to voices `(B, N)`."""
        if isinstance(self.model, UNet):
            return self.model.separate(mixture)
        return self.model.separate(mixture, *self._visual_tokens(*video))

    def _visual_tokens(self, *video: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.model, UNet) or self.tokens:
            return video
        return tuple(self.model.encode_video(frames) for frames in video)


@torch.no_grad()
def mask_chance(task: MaskStep, make_batch: MakeBatch, seed: int) -> float:
    """Compute the chance level: the loss of the best constant mask, one share for all bins."""
    stft, criterion, losses = task.model.stft, task.criterion, []
    batches = BatchDataset(make_batch, seed, CHANCE_BATCHES)
    for number in range(CHANCE_BATCHES):
        *_, second, accompaniment, target = batches[number].tensors
        mixture = stft.even_bins(stft(target + accompaniment + second))
        target = stft.even_bins(stft(target))
        real = torch.tensor([1.0, 0.0]).view(2, 1, 1).expand(len(target), 2, *target.shape[1:])
        # The loss is a parabola in the bounded mask; here it is fitted through three of its points.
        half = 0.5 * criterion.bound
        below, zero, above = (
            float(criterion(real * math.atanh(at), target, mixture)) for at in (-0.5, 0.0, 0.5)
        )
        bend, slope = (below + above - 2 * zero) / (2 * half**2), (above - below) / (2 * half)
        losses.append(zero - slope**2 / (4 * bend))
    return sum(losses) / len(losses)


class SeparationValidation:
    """Measure the averaged `MaskStep` of a run on mixtures: figures in dB, means over mixtures.

    `si_sdr_gain` is the gain in SI-SDR over the mixture, `_1` for mixtures with one voice and `_2`
    for those with two; `sdr` is of BSS Eval v3, over the whole chunk. Silent targets do not count.

    Args:
        mixtures: sources of the mixtures.
        rows: the mixtures.
        features: tokens that replace frames.
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
        """Return the figures by name, none without mixtures; the model is put into eval mode."""
        if not self.rows:
            return {}
        step = cast(MaskStep, task).eval()
        found = [
            self._figures(step, self.rows[k : k + self.batch])
            for k in range(0, len(self.rows), self.batch)
        ]
        before, after, sdr = (torch.cat(values) for values in zip(*found, strict=True))
        gain = after - before
        figures = {
            "si_sdr_gain": gain,
            "si_sdr_gain_1": gain[~self.two],
            "si_sdr_gain_2": gain[self.two],
            "si_sdr": after,
            "sdr": sdr,
        }
        means = {name: float(values.nanmean()) for name, values in figures.items()}
        return {name: mean for name, mean in means.items() if not math.isnan(mean)}

    def _figures(self, step: MaskStep, rows: Sequence[MixtureRow]) -> tuple[Tensor, ...]:
        """Return SI-SDR of the mixtures and of the voices, and SDR of the voices, each `(B,)`."""
        drawn = [self.mixtures.make(row) for row in rows]
        device = next(step.parameters()).device
        tensors = collate_mixtures(self.mixtures, drawn, self.features)
        *video, second, accompaniment, target = as_floats(tuple(t.to(device) for t in tensors))
        mixture = target + accompaniment + second
        voice = step.separate(mixture, *video)
        # The other sources of a mixture change SIR and SAR, not SDR.
        sdr = bss_eval_v3(target[:, None].cpu(), voice[:, None].cpu()).sdr[:, 0, 0]
        return si_sdr(target, mixture).cpu(), si_sdr(target, voice).cpu(), sdr
