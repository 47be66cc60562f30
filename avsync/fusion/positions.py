"""Sinusoidal positions, as VocaLiST's transformers add them.

Vaswani et al., Attention Is All You Need (2017), in fairseq's order: all sines, then all cosines.
"""

import math

import torch
from torch import Tensor, nn


class ZeroChannelPositions(nn.Module):
    """The vector of position t + 1 for step t, and none where channel 0 of the step is exactly 0.

    The exception is fairseq's rule for padding tokens, which the reference applies to the first
    number of every feature. Tokens after a ReLU are often 0 there, so that weights trained with the
    reference know such steps without a position.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(..., L, D)` to position vectors `(..., L, D)`."""
        table = sinusoids(tokens.shape[-2], tokens.shape[-1], tokens.device).to(tokens.dtype)
        return table.masked_fill(tokens[..., :1] == 0, 0)


class Positions(nn.Module):
    """The vector of position t + 1 for every step t."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(..., L, D)` to position vectors `(L, D)`."""
        return sinusoids(tokens.shape[-2], tokens.shape[-1], tokens.device).to(tokens.dtype)


def sinusoids(length: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Position vectors `(length, dim)` of positions 1 to length.

    In float32, as in the reference, whatever the dtype of the tokens.
    """
    half = dim // 2
    if half < 2:
        raise ValueError(f"dim must be at least 4, got {dim}")
    # half - 1 and not half, as in fairseq and tensor2tensor.
    rates = torch.exp(torch.arange(half, device=device).float() * -(math.log(10000) / (half - 1)))
    angles = torch.arange(1, length + 1, device=device).float()[:, None] * rates
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    return table if dim % 2 == 0 else torch.cat([table, table.new_zeros(length, 1)], dim=1)
