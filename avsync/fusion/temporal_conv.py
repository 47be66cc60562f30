"""Two streams joined step by step in time, each step seeing some seconds around it.

Residual dilated convolutions: Bai, Kolter and Koltun, An Empirical Evaluation of Generic
Convolutional and Recurrent Networks for Sequence Modeling (2018), as Luo and Mesgarani, Conv-TasNet
(2019), have them for separation, here seeing both ways.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.timing import exact_div

DILATIONS = (1, 2, 4, 8, 16, 32)
KERNEL = 3


class TemporalConvFusion(nn.Module):
    """Tells a stream of sound what a slower stream of tokens says of the same moments.

    Args:
        channels: of the sound.
        token_dim: width of the tokens.
        steps_per_token: steps of the sound that a token lasts, an even number; it belongs to their
            middle, where step 0 is at the beginning of token 0.
        dim: width inside.
        dilations: of the convolutions, in steps of the sound; the tokens join before each of them.
    """

    def __init__(
        self,
        channels: int,
        token_dim: int,
        steps_per_token: int = 2,
        dim: int = 192,
        dilations: Sequence[int] = DILATIONS,
    ) -> None:
        super().__init__()
        self.half_token = exact_div(steps_per_token, 2)
        self.reach = (KERNEL // 2) * sum(dilations)
        self.heard = nn.Conv1d(channels, dim, 1)
        self.seen = nn.Sequential(
            nn.Conv1d(token_dim, dim, 5, padding=2), nn.ReLU(), nn.Conv1d(dim, dim, 3, padding=1)
        )
        self.blocks = nn.ModuleList(_Block(dim, dilation) for dilation in dilations)
        self.out = nn.Conv1d(dim, channels, 1)

    def forward(self, sound: Tensor, tokens: Tensor) -> Tensor:
        """Maps sound `(B, C, S)` and tokens `(B, D, T)` of the same time to `(B, C, S)`."""
        if tokens.ndim != 3 or sound.ndim != 3 or len(tokens) != len(sound):
            raise ValueError(
                "sound (B, C, S) and tokens (B, D, T) must be of one batch, "
                f"got {tuple(sound.shape)} and {tuple(tokens.shape)}"
            )
        x = self.heard(sound)
        seen = self._at_steps(self.seen(tokens), sound.shape[-1])
        for block in self.blocks:
            x = block(x, seen)
        joined: Tensor = self.out(x)
        return joined

    def _at_steps(self, seen: Tensor, steps: int) -> Tensor:
        """Straight lines `(B, D, steps)` from one token `(B, D, T)` to the next; beyond the ends
        it stays as it is.
        """
        padded = F.pad(seen, (1, 1), mode="replicate")
        size = 2 * self.half_token * (padded.shape[-1] - 1) + 1
        lines = F.interpolate(padded, size, mode="linear", align_corners=True)
        found = lines[..., self.half_token : self.half_token + steps]
        if found.shape[-1] < steps:
            raise ValueError(f"tokens must last {steps} steps of sound, got {seen.shape[-1]}")
        return found


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
