"""Encoders of Looking to Listen: dilated convolutions over frame tokens and over a spectrum.

Source: Ephrat et al., Looking to Listen at the Cocktail Party (SIGGRAPH 2018), as implemented in
the public code of A cappella (Montesinos, Kadandale and Haro, BMVC 2021).
"""

from einops import rearrange
from torch import Tensor, nn

# Kernel size and dilation of each layer over frame tokens.
FRAME_LAYERS = ((7, 1), (5, 1), (5, 2), (5, 4), (5, 8), (5, 16))
# Kernel and dilation of each layer over a spectrum, as (time, frequency).
SPECTRUM_LAYERS = (
    ((1, 7), (1, 1)),
    ((7, 1), (1, 1)),
    *(((5, 5), (dilation, 1)) for dilation in (1, 2, 4, 8, 16, 32)),
    *(((5, 5), (dilation, dilation)) for dilation in (1, 2, 4, 8, 16, 32)),
)


class DilatedFrameEncoder(nn.Module):
    """Dilated temporal convolutions over frame tokens: each sees 65 frames to either side.

    The ends of the clip are padded with zeros.

    Args:
        token_dim: width of the input tokens.
        channels: width of the output tokens.
    """

    def __init__(self, token_dim: int = 512, channels: int = 256) -> None:
        super().__init__()
        widths = (token_dim, *(channels for _ in FRAME_LAYERS))
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv1d(width, channels, kernel, padding="same", dilation=dilation),
                    nn.BatchNorm1d(channels),
                    nn.ReLU(),
                )
                for width, (kernel, dilation) in zip(widths, FRAME_LAYERS, strict=False)
            )
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens `(B, L, token_dim)` to `(B, L, channels)`."""
        x = self.layers(rearrange(tokens, "b l d -> b d l"))
        return rearrange(x, "b d l -> b l d")


class DilatedSpectrumEncoder(nn.Module):
    """Dilated convolutions over a complex spectrum: one token per column.

    Args:
        bins: frequency bins of the spectrum.
        channels: width of all layers but the last.
        last: channels of the last layer, for each bin.
    """

    def __init__(self, bins: int = 256, channels: int = 96, last: int = 8) -> None:
        super().__init__()
        self.dim, self.bins = last * bins, bins
        widths = (2, *(channels for _ in SPECTRUM_LAYERS))
        layers = [
            _layer(width, channels, kernel, dilation)
            for width, (kernel, dilation) in zip(widths, SPECTRUM_LAYERS, strict=False)
        ]
        self.layers = nn.Sequential(*layers, _layer(channels, last, (1, 1), (1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Map the real and imaginary part `(B, 2, bins, S)` to tokens `(B, S, last * bins)`."""
        if x.ndim != 4 or x.shape[1:3] != (2, self.bins):
            raise ValueError(f"the spectrum must be (B, 2, {self.bins}, S), got {tuple(x.shape)}")
        x = self.layers(rearrange(x, "b two f s -> b two s f"))
        return rearrange(x, "b c s f -> b s (c f)")


def _layer(
    in_channels: int, out_channels: int, kernel: tuple[int, int], dilation: tuple[int, int]
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same", dilation=dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())
