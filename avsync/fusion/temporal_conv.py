"""Fuse two token streams with a temporal convolutional network (TCN).

Source: residual dilated convolutions of Bai, Kolter and Koltun, An Empirical Evaluation of Generic
Convolutional and Recurrent Networks for Sequence Modeling (2018), as Luo and Mesgarani, Conv-TasNet
(2019), use them for separation; here they are not causal.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.timing import exact_div

DILATIONS = (1, 2, 4, 8, 16, 32)
KERNEL = 3


class TemporalConvFusion(nn.Module):
    """Temporal convolutional network (TCN) over audio features, conditioned on visual tokens.

    Tokens are slower than the audio; they are interpolated to its steps and added before each
    dilated convolution.

    Args:
        channels: channels of the audio features.
        token_dim: width of the tokens.
        steps_per_token: audio steps per token, an even number; a token is centred on its steps, and
            step 0 is at the beginning of token 0.
        dim: hidden width.
        dilations: dilation of each convolution, in audio steps.
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
        self.blocks = nn.ModuleList(_ConditionedConv(dim, dilation) for dilation in dilations)
        self.out = nn.Conv1d(dim, channels, 1)

    def forward(self, audio: Tensor, tokens: Tensor) -> Tensor:
        """Condition audio features on tokens.

        Args:
            audio: audio features `(B, C, S)`.
            tokens: visual tokens `(B, D, T)` over the same time.

        Returns:
            Features `(B, C, S)`.

        Raises:
            ValueError: batch sizes differ, or the tokens do not cover the S audio steps.
        """
        if tokens.ndim != 3 or audio.ndim != 3 or len(tokens) != len(audio):
            raise ValueError(
                "audio (B, C, S) and tokens (B, D, T) must have one batch size, "
                f"got {tuple(audio.shape)} and {tuple(tokens.shape)}"
            )
        x = self.heard(audio)
        visual = self._interpolate(self.seen(tokens), audio.shape[-1])
        for block in self.blocks:
            x = block(x, visual)
        fused: Tensor = self.out(x)
        return fused

    def _interpolate(self, visual: Tensor, steps: int) -> Tensor:
        """Interpolate `(B, D, T)` linearly to `(B, D, steps)`, constant beyond the ends."""
        padded = F.pad(visual, (1, 1), mode="replicate")
        size = 2 * self.half_token * (padded.shape[-1] - 1) + 1
        dense = F.interpolate(padded, size, mode="linear", align_corners=True)
        visible = dense[..., self.half_token : self.half_token + steps]
        if visible.shape[-1] < steps:
            raise ValueError(f"tokens must cover {steps} audio steps, got {visual.shape[-1]}")
        return visible


class _ConditionedConv(nn.Module):
    """Residual dilated convolution, conditioned on visual features."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)
        self.scale = nn.Parameter(torch.ones(dim, 1))
        padding = dilation * (KERNEL // 2)
        self.conv = nn.Conv1d(dim, dim, KERNEL, padding=padding, dilation=dilation)

    def forward(self, x: Tensor, visual: Tensor) -> Tensor:
        """Map audio features and visual features, both `(B, D, S)`, to `(B, D, S)`."""
        return x + self.conv(F.relu(self.norm(x) + self.scale * visual))
