"""A U-Net over frequency alone: time keeps its steps, so that what moves in time can be joined.

Ronneberger, Fischer and Brox, U-Net (MICCAI 2015), with the halving along one axis as in Choi et
al., Phase-aware Speech Enhancement with Deep Complex U-Net (ICLR 2019); a skip is weighted by what
comes from below, as in Oktay et al., Attention U-Net (MIDL 2018), and added.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from avsync.timing import exact_div

WIDTHS = (16, 32, 48, 64, 96)


class FrequencyUNet(nn.Module):
    """Turns a map over frequency and time into one of the same size, by way of a narrow one.

    Convolutions only: moved along frequency, a voice is found again, but for the narrow map, which
    is for others to work on.

    Args:
        inputs: channels of the map that comes in.
        outputs: of the one that goes out.
        widths: channels of each level; every level halves the frequencies.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.halvings = len(widths)
        self.down = nn.ModuleList(_halving(a, b) for a, b in pairwise((inputs, *widths)))
        reversed_widths = tuple(reversed(widths))
        self.weigh = nn.ModuleList(nn.Conv2d(width, width, 1) for width in reversed_widths)
        self.up = nn.ModuleList(
            _doubling(a, b) for a, b in pairwise((*reversed_widths, max(outputs, widths[0])))
        )
        self.head = nn.Conv2d(max(outputs, widths[0]), outputs, 3, padding=1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """Map `(B, inputs, F, S)`, F a multiple of 2 ** levels, to what each level gives: `(B, C,
        F / 2, S)`, ..., the narrow map last.
        """
        exact_div(x.shape[2], 2**self.halvings)
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        return levels

    def decode(self, x: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """Map a narrow map that was worked on and what `encode` gave to `(B, outputs, F, S)`."""
        for weigh, up, skip in zip(self.weigh, self.up, reversed(levels), strict=True):
            x = up(x + skip * weigh(x).sigmoid())
        found: Tensor = self.head(x)
        return found


def _halving(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, (4, 3), (2, 1), padding=(1, 1), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def _doubling(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(in_channels, out_channels, (4, 3), (2, 1), padding=(1, 1), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
