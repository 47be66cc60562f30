"""Thresholded SNR loss for source separation.

Unlike SI-SDR it depends on scale: separated voices and the rest have to add up to the mixture (Le
Roux et al., SDR - Half-baked or Well Done?, ICASSP 2019; Heitkaemper et al., Demystifying TasNet,
ICASSP 2020).

Source: Wisdom et al., Unsupervised Sound Separation Using Mixture Invariant Training (NeurIPS
2020); for silent references Wisdom et al., What's All the FUSS About Free Universal Sound
Separation Data? (ICASSP 2021).
"""

import math

import torch
from torch import Tensor, nn


class ThresholdedSnrLoss(nn.Module):
    """Thresholded SNR loss in dB: 10 log10(1 + error / threshold), non-negative.

    The threshold is `best_db` below the reference's power; for silent references it is `silent_db`
    below the mixture's. Far above it the loss follows the error dB for dB; below it little is left
    to gain, so well separated examples do not dominate.

    Args:
        best_db: SNR in dB beyond which an estimate is good enough.
        silent_db: attenuation in dB, relative to the mixture, wanted for silent references.
    """

    def __init__(self, best_db: float = 30.0, silent_db: float = 20.0) -> None:
        super().__init__()
        if min(best_db, silent_db) <= 0:
            raise ValueError(f"best_db and silent_db must be positive, got {best_db}, {silent_db}")
        self.best_db, self.silent_db = best_db, silent_db

    def forward(self, estimates: Tensor, references: Tensor, mixture: Tensor) -> Tensor:
        """Compute the mean loss over all voices.

        Args:
            estimates: separated waveforms `(B, V, N)`.
            references: true waveforms `(B, V, N)`.
            mixture: mixtures `(B, N)`.

        Returns:
            A scalar, in dB.

        Raises:
            ValueError: the shapes do not fit together.
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
        # If the mixture is digital silence too, the loss must stay finite.
        threshold = threshold.clamp_min(1e-20)
        return (error / threshold).log1p().mean() * (10 / math.log(10))
