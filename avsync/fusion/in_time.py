"""Two streams joined step by step in time, each step seeing some seconds around it.

Residual dilated convolutions: Bai, Kolter and Koltun, An Empirical Evaluation of Generic
Convolutional and Recurrent Networks for Sequence Modeling (2018), as Luo and Mesgarani, Conv-TasNet
(2019), have them for separation, here seeing both ways.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DILATIONS = (1, 2, 4, 8, 16, 32, 64)
KERNEL = 3


class JoinedInTime(nn.Module):
    """Tells a stream of sound what a slower stream of tokens says of the same moments.

    Args:
        channels: of the sound.
        token_dim: width of the tokens.
        dim: width inside.
        dilations: of the convolutions, in steps of the sound; the tokens join before each of them.
    """

    def __init__(
        self, channels: int, token_dim: int, dim: int = 192, dilations: Sequence[int] = DILATIONS
    ) -> None:
        super().__init__()
        self.reach = (KERNEL // 2) * sum(dilations)
        self.heard = nn.Conv1d(channels, dim, 1)
        self.seen = nn.Sequential(
            nn.Conv1d(token_dim, dim, 5, padding=2), nn.ReLU(), nn.Conv1d(dim, dim, 3, padding=1)
        )
        self.blocks = nn.ModuleList(_Block(dim, dilation) for dilation in dilations)
        self.out = nn.Conv1d(dim, channels, 1)

    def forward(self, sound: Tensor, tokens: Tensor) -> Tensor:
        """Maps sound `(B, C, S)` and tokens `(B, D, T)` of the same time, at however many steps
        each, to `(B, C, S)`.
        """
        if tokens.ndim != 3 or sound.ndim != 3 or len(tokens) != len(sound):
            raise ValueError(
                "sound (B, C, S) and tokens (B, D, T) must be of one batch, "
                f"got {tuple(sound.shape)} and {tuple(tokens.shape)}"
            )
        x = self.heard(sound)
        seen = F.interpolate(self.seen(tokens), sound.shape[-1], mode="linear")
        for block in self.blocks:
            x = block(x, seen)
        joined: Tensor = self.out(x)
        return joined


class _Block(nn.Module):
    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.scale = nn.Parameter(torch.ones(dim, 1))
        padding = dilation * (KERNEL // 2)
        self.conv = nn.Conv1d(dim, dim, KERNEL, padding=padding, dilation=dilation)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Maps `(B, D, S)` and what is seen `(B, D, S)` to `(B, D, S)`."""
        return x + self.conv(F.relu(self.norm(x) + self.scale * seen))
