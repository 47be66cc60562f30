"""FiLM: what is seen scales and shifts the channels of what is heard.

Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer (AAAI 2018), as in
Montesinos, Kadandale and Haro, A cappella (BMVC 2021).
"""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class Film(nn.Module):
    """Scales and shifts a feature map by tokens, the same over all frequencies, step by step in
    time.

    Tokens come at their own rate: they are averaged over the steps of the map, or, where they are
    fewer than its steps, repeated. Both layers begin as any linear layer: not at one and zero.

    Args:
        token_dim: width of the tokens.
        channels: of the feature map.
    """

    def __init__(self, token_dim: int = 256, channels: int = 256) -> None:
        super().__init__()
        self.scale = nn.Linear(token_dim, channels)
        self.shift = nn.Linear(token_dim, channels)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Maps a feature map `(B, C, F, S)` and tokens `(B, L, D)` to `(B, C, F, S)`."""
        width = self.scale.in_features
        if tokens.ndim != 3 or len(tokens) != len(x) or tokens.shape[2] != width:
            raise ValueError(f"tokens must be ({len(x)}, L, {width}), got {tuple(tokens.shape)}")
        steps = resample_tokens(tokens.to(self.scale.weight.dtype), x.shape[-1])
        scale, shift = (
            rearrange(layer(steps), "b s c -> b c 1 s") for layer in (self.scale, self.shift)
        )
        return x * scale + shift


def resample_tokens(tokens: Tensor, steps: int) -> Tensor:
    """Maps tokens `(B, L, D)` to `(B, steps, D)`: averages where there are more, the nearest where
    there are fewer.
    """
    x = rearrange(tokens, "b l d -> b d l")
    if tokens.shape[1] < steps:
        x = F.interpolate(x, steps, mode="nearest")
    else:
        x = F.adaptive_avg_pool1d(x, steps)
    return rearrange(x, "b d s -> b s d")
