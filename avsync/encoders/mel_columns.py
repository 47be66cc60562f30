"""Mel column encoder: VocaLiST's audio stream, 2-D convolutions that keep time.

Kadandale, Montesinos and Haro, VocaLiST (Interspeech 2022).
"""

from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d

N_MELS = 80


class MelColumnEncoder(nn.Module):
    """Turns log-mel columns into one token per column, never negative.

    Time is padded with zeros at every layer and never strided, so a token depends on where its
    column stands in the window.

    Args:
        channels: widths of the five stages; the last is that of the tokens. VocaLiST's by default,
            (16, 32, 64, 128, 200) are MTDVocaLiST's.
    """

    def __init__(self, channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        a, b, c, d, dim = channels
        self.blocks = nn.Sequential(
            conv_block_2d(1, a, 3, padding=1),
            *(conv_block_2d(a, a, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(a, b, 3, stride=(3, 1), padding=1),
            *(conv_block_2d(b, b, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(b, c, 3, stride=(3, 1), padding=1),
            *(conv_block_2d(c, c, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(c, d, 3, stride=(3, 1), padding=1),
            *(conv_block_2d(d, d, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(d, dim, 3, padding=(0, 1)),
            conv_block_2d(dim, dim, 1),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Maps a log-mel `(B, 80, S)` in [-4, 4] to tokens `(B, S, dim)`."""
        if mel.ndim != 3 or mel.shape[1] != N_MELS:
            raise ValueError(f"mel must be (B, {N_MELS}, S), got {tuple(mel.shape)}")
        return rearrange(self.blocks(rearrange(mel, "b m s -> b 1 m s")), "b d 1 s -> b s d")
