"""Face pyramid: pictures of a face -> maps at every size from 96x96 to 1x1, for a generator.

Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech to Lip
Generation In the Wild (ACM Multimedia 2020); TalkLip and SyncTalklip have it unchanged.
"""

from torch import Tensor, nn

from avsync.encoders.conv_block import ConvBlock, conv_block_2d

SIZE = 96
# Residual blocks behind the one that halves the map, from 48x48 to 3x3.
RESIDUALS = (2, 3, 2, 2, 1)


class FacePyramid(nn.Module):
    """Turns pairs of face crops into seven maps, each half as large as the one before.

    Args:
        channels: widths of the maps of 96, 48, 24, 12, 6 and 3 pixels; that of one pixel is as wide
            as that of 3.
        pictures: channels of the input; the paper's 6 are a frame without its lower half and
            another frame that tells whose face it is.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int, int, int] = (16, 32, 64, 128, 256, 512),
        pictures: int = 6,
    ) -> None:
        super().__init__()
        if len(channels) != 1 + len(RESIDUALS):
            raise ValueError(f"channels must be 6 widths, got {channels}")
        self.channels, self.pictures = channels, pictures
        stages = [nn.Sequential(conv_block_2d(pictures, channels[0], 7, padding=3))]
        for before, width, count in zip(channels[:-1], channels[1:], RESIDUALS, strict=True):
            halve = conv_block_2d(before, width, 3, stride=2, padding=1)
            stages.append(nn.Sequential(halve, *(residual_block_2d(width) for _ in range(count))))
        last = channels[-1]
        stages.append(nn.Sequential(conv_block_2d(last, last, 3), conv_block_2d(last, last, 1)))
        self.stages = nn.ModuleList(stages)

    def forward(self, faces: Tensor) -> list[Tensor]:
        """Maps faces `(B, pictures, 96, 96)` in [0, 1] to maps `(B, C, S, S)`, S = 96, 48, 24, 12,
        6, 3, 1.
        """
        if faces.ndim != 4 or faces.shape[1:] != (self.pictures, SIZE, SIZE):
            wanted = f"(B, {self.pictures}, {SIZE}, {SIZE})"
            raise ValueError(f"faces must be {wanted}, got {tuple(faces.shape)}")
        maps = []
        for stage in self.stages:
            faces = stage(faces)
            maps.append(faces)
        return maps


def residual_block_2d(channels: int) -> ConvBlock:
    """A residual block of 3x3 over `(B, C, H, W)`."""
    return conv_block_2d(channels, channels, 3, padding=1, residual=True)
