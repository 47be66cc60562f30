"""Dilated encoder of frames: tokens of a face, each with 65 frames to either side.

The visual stream of Ephrat et al., Looking to Listen at the Cocktail Party (SIGGRAPH 2018), as the
public code of A cappella (BMVC 2021) has it.
"""

from einops import rearrange
from torch import Tensor, nn

# Frames a layer looks at, and how far apart they are.
LAYERS = ((7, 1), (5, 1), (5, 2), (5, 4), (5, 8), (5, 16))


class DilatedFrameEncoder(nn.Module):
    """Turns tokens of frames into tokens that know their neighbours; ends are padded with zeros.

    Args:
        token_dim: width of the tokens that come in.
        channels: width of those that go out.
    """

    def __init__(self, token_dim: int = 512, channels: int = 256) -> None:
        super().__init__()
        widths = (token_dim, *(channels for _ in LAYERS))
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv1d(a, channels, span, padding="same", dilation=step),
                    nn.BatchNorm1d(channels),
                    nn.ReLU(),
                )
                for a, (span, step) in zip(widths, LAYERS, strict=False)
            )
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(B, L, token_dim)` to `(B, L, channels)`."""
        x = self.layers(rearrange(tokens, "b l d -> b d l"))
        return rearrange(x, "b d l -> b l d")


# Kernel and dilation of each layer, over columns and bins.
SPECTRUM_LAYERS = (
    ((1, 7), (1, 1)),
    ((7, 1), (1, 1)),
    *(((5, 5), (step, 1)) for step in (1, 2, 4, 8, 16, 32)),
    *(((5, 5), (step, step)) for step in (1, 2, 4, 8, 16, 32)),
)


class DilatedSpectrumEncoder(nn.Module):
    """Turns the real and imaginary parts of a spectrum into one token per column.

    Args:
        bins: of the spectrum.
        channels: width of the layers but for the last.
        last: width of the last layer, for every bin.
    """

    def __init__(self, bins: int = 256, channels: int = 96, last: int = 8) -> None:
        super().__init__()
        self.dim, self.bins = last * bins, bins
        widths = (2, *(channels for _ in SPECTRUM_LAYERS))
        layers = [
            _layer(a, channels, kernel, step)
            for a, (kernel, step) in zip(widths, SPECTRUM_LAYERS, strict=False)
        ]
        self.layers = nn.Sequential(*layers, _layer(channels, last, (1, 1), (1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Maps a spectrum `(B, 2, bins, S)` to tokens `(B, S, last * bins)`."""
        if x.ndim != 4 or x.shape[1:3] != (2, self.bins):
            raise ValueError(f"the spectrum must be (B, 2, {self.bins}, S), got {tuple(x.shape)}")
        x = self.layers(rearrange(x, "b two f s -> b two s f"))
        return rearrange(x, "b c s f -> b s (c f)")


def _layer(
    in_channels: int, out_channels: int, kernel: tuple[int, int], dilation: tuple[int, int]
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding="same", dilation=dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())
