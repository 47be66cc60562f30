"""How many decibels a voice is short of as good as is asked for.

The thresholded SNR of Wisdom et al., Unsupervised Sound Separation Using Mixture Invariant Training
(NeurIPS 2020), and for silent references of Wisdom et al., What's All the FUSS About Free Universal
Sound Separation Data? (ICASSP 2021). Unlike SI-SDR it minds the scale: voices and what is left of a
mixture have to add up to it (Le Roux et al., SDR - Half-baked or Well Done?, ICASSP 2019;
Heitkaemper et al., Demystifying TasNet, ICASSP 2020).
"""

import math

import torch
from torch import Tensor, nn


class ThresholdedSnrLoss(nn.Module):
    """Decibels that estimates are short of `best_db`: 10 log10(1 + error / threshold).

    The threshold lies `best_db` under the reference; for silent references `silent_db` under the
    mixture. Far from it a decibel of the error costs a decibel, below it hardly anything is to be
    gained: what is separated well already does not outweigh the rest. Never negative.

    Args:
        best_db: of the voices.
        silent_db: how far under the mixture what is heard of a silent voice should lie.
    """

    def __init__(self, best_db: float = 30.0, silent_db: float = 20.0) -> None:
        super().__init__()
        if min(best_db, silent_db) <= 0:
            raise ValueError(f"best_db and silent_db must be positive, got {best_db}, {silent_db}")
        self.best_db, self.silent_db = best_db, silent_db

    def forward(self, estimates: Tensor, references: Tensor, mixture: Tensor) -> Tensor:
        """Maps estimates and references `(B, V, N)` of the voices in mixtures `(B, N)` to a
        scalar: the mean over voices.
        """
        if estimates.shape != references.shape or mixture.shape != estimates[:, 0].shape:
            shapes = f"{tuple(estimates.shape)}, {tuple(references.shape)}, {tuple(mixture.shape)}"
            raise ValueError(f"expected (B, V, N), the same, and (B, N), got {shapes}")
        error = (estimates - references).square().sum(-1)
        power = references.square().sum(-1)
        threshold = torch.where(
            power > 0,
            power * 10 ** (-self.best_db / 10),
            mixture.square().sum(-1, keepdim=True) * 10 ** (-self.silent_db / 10),
        )
        # Digital silence all over has nothing to be told.
        threshold = threshold.clamp_min(1e-20)
        return (error / threshold).log1p().mean() * (10 / math.log(10))
