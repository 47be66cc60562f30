"""A U-Net over frequency alone: time keeps its resolution, for fusion with tokens of other streams.

Source: Ronneberger, Fischer and Brox, U-Net (MICCAI 2015), downsampling along one axis as in Choi
et al., Phase-aware Speech Enhancement with Deep Complex U-Net (ICLR 2019); skips are gated by the
deeper level as in Oktay et al., Attention U-Net (MIDL 2018), and added.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from avsync.timing import exact_div

WIDTHS = (16, 32, 48, 64, 96)


class FrequencyUNet(nn.Module):
    """Map a spectrogram to one of the same size through a bottleneck with few frequencies.

    Convolutional throughout: a shift along frequency shifts the output, except for what is done to
    the bottleneck between `encode` and `decode`.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        widths: channels of each level; every level halves the frequencies.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.halvings = len(widths)
        self.down = nn.ModuleList(_downsample(a, b) for a, b in pairwise((inputs, *widths)))
        reversed_widths = tuple(reversed(widths))
        self.weigh = nn.ModuleList(nn.Conv2d(width, width, 1) for width in reversed_widths)
        self.up = nn.ModuleList(
            _upsample(a, b) for a, b in pairwise((*reversed_widths, max(outputs, widths[0])))
        )
        self.head = nn.Conv2d(max(outputs, widths[0]), outputs, 3, padding=1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Map `(B, inputs, F, S)` to the output of each level, the bottleneck last.

        F is a multiple of 2 ** levels; outputs are `(B, C, F / 2, S)`, `(B, C, F / 4, S)`, ...
        """
        exact_div(x.shape[2], 2**self.halvings)
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        return levels

    def decode(self, x: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """Map a modified bottleneck and the outputs of `encode` to `(B, outputs, F, S)`."""
        for weigh, up, skip in zip(self.weigh, self.up, reversed(levels), strict=True):
            x = up(x + skip * weigh(x).sigmoid())
        decoded: Tensor = self.head(x)
        return decoded


def _downsample(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, (4, 3), (2, 1), padding=(1, 1), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def _upsample(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(in_channels, out_channels, (4, 3), (2, 1), padding=(1, 1), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
