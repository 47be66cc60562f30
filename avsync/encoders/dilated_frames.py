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
