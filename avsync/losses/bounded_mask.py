"""Loss on bounded complex ratio masks, weighted by the loudness of the mixture.

Source: Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC
2021). Its public code bounds masks by 10 tanh(x), not by the 10 tanh(0.05 x) of the complex ratio
mask of Williamson, Wang and Wang (2016), which it cites.
"""

import torch
from torch import Tensor, nn

# Limits of a bin's weight, which is 1 at magnitude e - 1.
MIN_WEIGHT, MAX_WEIGHT = 1e-3, 10.0


class BoundedMaskLoss(nn.Module):
    """Mean squared error of bounded complex masks, each bin weighted by its log magnitude.

    The target mask is the spectrum of the target over that of the mixture, with its real and
    imaginary part bounded separately.

    Args:
        sources: number of sources; the mixture is divided by it, as at the network's input, before
            its magnitudes are taken.
        bound: masks lie in [-bound, bound].
    """

    def __init__(self, sources: int = 2, bound: float = 10.0) -> None:
        super().__init__()
        if sources < 1 or bound <= 0:
            raise ValueError(
                f"sources must be at least 1 and bound positive, got {sources} and {bound}"
            )
        self.sources, self.bound = sources, bound

    def forward(self, logits: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
        """Compare the mask given by logits with the target's.

        Args:
            logits: real and imaginary part of the mask before the tanh, `(B, 2, F, S)`.
            target: complex spectra of the target `(B, F, S)`.
            mixture: complex spectra of the sum of all sources `(B, F, S)`.

        Returns:
            A scalar.
        """
        batch, parts, *bins = logits.shape
        if parts != 2 or not target.shape == mixture.shape == (batch, *bins):
            raise ValueError(
                "logits must be (B, 2, F, S) for spectra (B, F, S), got "
                f"{tuple(logits.shape)} for {tuple(target.shape)} and {tuple(mixture.shape)}"
            )
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        error = self.bound * precise.tanh() - self.target_mask(target, mixture)
        weight = (mixture / self.sources).abs().log1p().clamp(MIN_WEIGHT, MAX_WEIGHT)
        return (weight[:, None] * error.square()).mean()

    def target_mask(self, target: Tensor, mixture: Tensor) -> Tensor:
        """Compute the bounded mask `(B, 2, F, S)` of complex spectra `(B, F, S)`; 0 in silence."""
        scaled = mixture / self.sources
        # As in the public code, of float32 whatever the dtype, except that it gives NaN where the
        # mixture is -eps, which happens in bins that hold rounding errors only.
        eps = torch.finfo(torch.float32).eps
        divisor = scaled + eps
        divisor = torch.where(divisor.abs() < eps**2, eps, divisor)
        ratio = target / divisor / self.sources
        return self.bound * torch.stack([ratio.real, ratio.imag], dim=1).tanh()
