"""Filterbank encoder: AVST's audio stream, the layers of VGG-M on a log-mel.

Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild (BMVC
2021).
"""

from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d


class FilterbankEncoder(nn.Module):
    """Turns the log-mel of a window into tokens, one for about four columns.

    Time is padded with zeros, so a token depends on where its columns stand in the window.

    Args:
        channels: widths of the layers; the last is that of the tokens.
    """

    n_mels, least_columns = 80, 7

    def __init__(self, channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 512)) -> None:
        super().__init__()
        a, b, c, d, dim = channels
        self.blocks = nn.Sequential(
            conv_block_2d(1, a, 3, stride=(2, 1), padding=1),
            nn.MaxPool2d((3, 1), (2, 1)),
            conv_block_2d(a, b, 3, padding=1),
            nn.MaxPool2d(3, 2),
            conv_block_2d(b, c, 3, padding=1),
            conv_block_2d(c, d, 3, padding=1),
            conv_block_2d(d, d, 3, padding=1),
            nn.MaxPool2d((2, 3), 2),
            conv_block_2d(d, dim, (4, 3), padding=(0, 1)),
            nn.Conv2d(dim, dim, 1),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Maps a log-mel `(B, 80, S)` to tokens `(B, token_count(S), dim)`."""
        if mel.ndim != 3 or mel.shape[1] != self.n_mels or mel.shape[2] < self.least_columns:
            raise ValueError(
                f"mel must be (B, {self.n_mels}, S >= {self.least_columns}), got {tuple(mel.shape)}"
            )
        return rearrange(self.blocks(rearrange(mel, "b m s -> b 1 m s")), "b d 1 t -> b t d")

    @staticmethod
    def token_count(columns: int) -> int:
        """Tokens of so many columns: two poolings of 3, each with a stride of 2."""
        return ((columns - 3) // 2 - 2) // 2 + 1
