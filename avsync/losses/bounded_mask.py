"""Bounded-mask loss: complex masks compared after a tanh, where there is sound to mask.

Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC 2021). Its
public code bounds with 10 tanh(x), not with the 10 tanh(0.05 x) of the complex ratio mask of
Williamson, Wang and Wang (2016), which it cites.
"""

import torch
from torch import Tensor, nn

# Loud bins count up to this many times as much as those of loudness e - 1.
MIN_WEIGHT, MAX_WEIGHT = 1e-3, 10.0


class BoundedMaskLoss(nn.Module):
    """Mean squared difference of bounded masks, each bin weighted by the logarithm of its loudness.

    The mask to be found is the target's spectrum over the mixture's, real and imaginary part each
    bounded alone.

    Args:
        sources: the mixture is divided by this, as before it enters the network; weights follow
            the loudness that is left.
        bound: masks lie between minus this and this.
    """

    def __init__(self, sources: int = 2, bound: float = 10.0) -> None:
        super().__init__()
        if sources < 1 or bound <= 0:
            raise ValueError(
                f"sources must be at least 1 and bound positive, got {sources} and {bound}"
            )
        self.sources, self.bound = sources, bound

    def forward(self, logits: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
        """Maps the logits of a mask `(B, 2, F, S)` and the complex spectra `(B, F, S)` of target
        and mixture, the sum of all sources, to a scalar.
        """
        batch, parts, *bins = logits.shape
        if parts != 2 or not target.shape == mixture.shape == (batch, *bins):
            raise ValueError(
                "logits must be (B, 2, F, S) for spectra (B, F, S), got "
                f"{tuple(logits.shape)} for {tuple(target.shape)} and {tuple(mixture.shape)}"
            )
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        error = self.bound * precise.tanh() - self.wanted(target, mixture)
        weight = (mixture / self.sources).abs().log1p().clamp(MIN_WEIGHT, MAX_WEIGHT)
        return (weight[:, None] * error.square()).mean()

    def wanted(self, target: Tensor, mixture: Tensor) -> Tensor:
        """Maps the complex spectra `(B, F, S)` of target and mixture to the bounded mask `(B, 2, F,
        S)` that the logits should give; silence gives zero.
        """
        heard = mixture / self.sources
        # As in the public code, of float32 whatever the dtype. There the mask is not a number where
        # the mixture is minus eps: that happens, in bins of rounding errors.
        eps = torch.finfo(torch.float32).eps
        divisor = heard + eps
        divisor = torch.where(divisor.abs() < eps**2, eps, divisor)
        ratio = target / divisor / self.sources
        return self.bound * torch.stack([ratio.real, ratio.imag], dim=1).tanh()
