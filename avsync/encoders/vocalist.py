"""Encoders of VocaLiST: 3-D convolutions over a window of lips, 2-D ones over its log-mel.

Every layer sees one to three frames to either side and pads with zeros, so a token depends on the
position of its frame in the window: overlapping windows cannot share tokens.

Source: Kadandale, Montesinos and Haro, VocaLiST (Interspeech 2022).
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d, conv_block_3d

HEIGHT, WIDTH = 48, 96
N_MELS = 80
# Windows that pass the convolutions together: a single one takes twice as long per window, more
# than eight gain nothing on a CPU and take 20 MB each.
BATCH_WINDOWS = 8


class VocalistVisualEncoder(nn.Module):
    """VocaLiST's visual encoder: lower face halves to one non-negative token per video frame.

    Args:
        channels: widths of the five stages; the last is that of the tokens. The default is
            VocaLiST; (16, 32, 64, 128, 200) is MTDVocaLiST.
    """

    def __init__(self, channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        a, b, c, d, dim = channels
        # Axes are (T, H, W): time on the outer axis is about a tenth faster than on the inner one.
        self.blocks = nn.Sequential(
            conv_block_3d(3, a, 7, padding=3),
            conv_block_3d(a, b, 5, stride=(1, 1, 2), padding=(2, 1, 1)),
            *(conv_block_3d(b, b, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_3d(b, c, 3, stride=(1, 2, 2), padding=1),
            *(conv_block_3d(c, c, 3, padding=1, residual=True) for _ in range(3)),
            conv_block_3d(c, d, 3, stride=(1, 2, 2), padding=1),
            *(conv_block_3d(d, d, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_3d(d, dim, 3, stride=(1, 2, 2), padding=1),
            *(conv_block_3d(dim, dim, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_3d(dim, dim, 3, stride=(1, 2, 2), padding=1),
            conv_block_3d(dim, dim, 3, padding=(1, 0, 0)),
            conv_block_3d(dim, dim, 1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` in [0, 1] to tokens `(B, T, dim)`."""
        if frames.ndim != 5 or frames.shape[1] != 3 or frames.shape[3:] != (HEIGHT, WIDTH):
            raise ValueError(
                f"frames must be (B, 3, T, {HEIGHT}, {WIDTH}), got {tuple(frames.shape)}"
            )
        return rearrange(self.blocks(frames), "b d t 1 1 -> b t d")

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Encode every window of `length` frames.

        Args:
            frames: frames `(B, 3, T, 48, 96)` in [0, 1].
            length: frames of a window.

        Returns:
            Tokens `(B, T - length + 1, length, dim)`.
        """
        if frames.ndim != 5 or frames.shape[2] < length:
            raise ValueError(
                f"frames must be (B, 3, T >= {length}, H, W), got {tuple(frames.shape)}"
            )
        windows = rearrange(frames.unfold(2, length, 1), "b c n h w t -> (b n) c t h w")
        tokens = torch.cat([self(batch) for batch in windows.split(BATCH_WINDOWS)])
        return rearrange(tokens, "(b n) t d -> b n t d", b=len(frames))


class VocalistAudioEncoder(nn.Module):
    """VocaLiST's audio encoder: a log-mel to one non-negative token per column.

    Time is padded with zeros at every layer and never strided, so a token depends on the position
    of its column in the window.

    Args:
        channels: widths of the five stages; the last is that of the tokens. The default is
            VocaLiST; (16, 32, 64, 128, 200) is MTDVocaLiST.
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
        """Map a log-mel `(B, 80, S)` in [-4, 4] to tokens `(B, S, dim)`."""
        if mel.ndim != 3 or mel.shape[1] != N_MELS:
            raise ValueError(f"mel must be (B, {N_MELS}, S), got {tuple(mel.shape)}")
        return rearrange(self.blocks(rearrange(mel, "b m s -> b 1 m s")), "b d 1 s -> b s d")
