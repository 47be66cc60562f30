"""FiLM: condition an audio feature map on visual tokens by scaling and shifting its channels.

Source: Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer (AAAI 2018), as in
Montesinos, Kadandale and Haro, A cappella (BMVC 2021).
"""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class Film(nn.Module):
    """Feature-wise linear modulation (FiLM) of a feature map, per time step and channel.

    Scale and shift are equal over all frequencies. Tokens may have another rate than the map: they
    are averaged over its steps or, if there are fewer tokens than steps, repeated. Both linear
    layers have the default initialisation, so the scale does not start at one.

    Args:
        token_dim: width of the tokens.
        channels: channels of the feature map.
    """

    def __init__(self, token_dim: int = 256, channels: int = 256) -> None:
        super().__init__()
        self.scale = nn.Linear(token_dim, channels)
        self.shift = nn.Linear(token_dim, channels)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Scale and shift a feature map by tokens.

        Args:
            x: feature map `(B, C, F, S)`.
            tokens: tokens `(B, L, D)` over the same time.

        Returns:
            Feature map `(B, C, F, S)`.

        Raises:
            ValueError: the tokens have another batch size or width.
        """
        width = self.scale.in_features
        if tokens.ndim != 3 or len(tokens) != len(x) or tokens.shape[2] != width:
            raise ValueError(f"tokens must be ({len(x)}, L, {width}), got {tuple(tokens.shape)}")
        steps = resample_tokens(tokens.to(self.scale.weight.dtype), x.shape[-1])
        scale, shift = (
            rearrange(layer(steps), "b s c -> b c 1 s") for layer in (self.scale, self.shift)
        )
        return x * scale + shift


def resample_tokens(tokens: Tensor, steps: int) -> Tensor:
    """Resample tokens in time, by averages if there are more than steps, else by the nearest.

    Args:
        tokens: tokens `(B, L, D)`.
        steps: time steps wanted.

    Returns:
        Tokens `(B, steps, D)`.
    """
    x = rearrange(tokens, "b l d -> b d l")
    if tokens.shape[1] < steps:
        x = F.interpolate(x, steps, mode="nearest")
    else:
        x = F.adaptive_avg_pool1d(x, steps)
    return rearrange(x, "b d s -> b s d")
