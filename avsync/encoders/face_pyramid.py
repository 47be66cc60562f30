"""Face encoder of Wav2Lip's generator: feature maps at every size from 96x96 to 1x1.

Source: Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild (ACM Multimedia 2020); TalkLip and SyncTalklip use it unchanged.
"""

from torch import Tensor, nn

from avsync.encoders.conv_block import ConvBlock, conv_block_2d

SIZE = 96
# Residual blocks after each halving block, for the maps from 48x48 to 3x3.
RESIDUALS = (2, 3, 2, 2, 1)


class FacePyramid(nn.Module):
    """Wav2Lip's face encoder: face crops to seven feature maps, each half the size of the last.

    Args:
        channels: widths of the maps of 96, 48, 24, 12, 6 and 3 pixels; the map of one pixel is as
            wide as that of 3.
        in_channels: channels of the input; the paper's 6 are a frame without its lower half and a
            reference frame of the same person.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int, int, int] = (16, 32, 64, 128, 256, 512),
        in_channels: int = 6,
    ) -> None:
        super().__init__()
        if len(channels) != 1 + len(RESIDUALS):
            raise ValueError(f"channels must be 6 widths, got {channels}")
        self.channels, self.in_channels = channels, in_channels
        stages = [nn.Sequential(conv_block_2d(in_channels, channels[0], 7, padding=3))]
        for previous, width, count in zip(channels[:-1], channels[1:], RESIDUALS, strict=True):
            halve = conv_block_2d(previous, width, 3, stride=2, padding=1)
            stages.append(nn.Sequential(halve, *(residual_block_2d(width) for _ in range(count))))
        last = channels[-1]
        stages.append(nn.Sequential(conv_block_2d(last, last, 3), conv_block_2d(last, last, 1)))
        self.stages = nn.ModuleList(stages)

    def forward(self, faces: Tensor) -> list[Tensor]:
        """Map face crops to feature maps, the largest first.

        Args:
            faces: face crops `(B, in_channels, 96, 96)` in [0, 1].

        Returns:
            Seven maps `(B, C, S, S)`, S = 96, 48, 24, 12, 6, 3 and 1.
        """
        if faces.ndim != 4 or faces.shape[1:] != (self.in_channels, SIZE, SIZE):
            expected = f"(B, {self.in_channels}, {SIZE}, {SIZE})"
            raise ValueError(f"faces must be {expected}, got {tuple(faces.shape)}")
        maps = []
        for blocks in self.stages:
            faces = blocks(faces)
            maps.append(faces)
        return maps


def residual_block_2d(channels: int) -> ConvBlock:
    """Build a residual 3x3 block over `(B, C, H, W)`."""
    return conv_block_2d(channels, channels, 3, padding=1, residual=True)
