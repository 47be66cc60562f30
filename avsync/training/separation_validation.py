"""How well a separator does on mixtures that it was not trained on."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from avsync.data.feature_cache import FeatureCache
from avsync.data.mixtures import MixtureRow, Mixtures
from avsync.metrics.bss_eval import bss_eval_v3
from avsync.metrics.si_sdr import si_sdr
from avsync.training.batches import as_floats
from avsync.training.early_stop import Watch
from avsync.training.mask_step import MaskStep
from avsync.training.mixture_batches import collated


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
