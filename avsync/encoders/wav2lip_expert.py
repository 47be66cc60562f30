"""Encoders of Wav2Lip's lip-sync expert: frames stacked in the channels, and log-mel windows.

Source: Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild (ACM Multimedia 2020).
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d

HEIGHT, WIDTH = 48, 96


class Wav2LipVisualEncoder(nn.Module):
    """Wav2Lip expert's visual encoder: lower face halves to one non-negative token per window.

    The convolutions are 2-D, with the frames of a window as channels, so every window passes all
    layers.

    Args:
        channels: widths of the five stages; the last is that of the tokens.
        window_frames: frames of a window; 5 in the paper, 5 and 25 in VocaLiST's comparison.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512),
        window_frames: int = 5,
    ) -> None:
        super().__init__()
        if window_frames < 1:
            raise ValueError(f"window_frames must be 1 or more, got {window_frames}")
        self.window_frames = window_frames
        a, b, c, d, dim = channels
        self.blocks = nn.Sequential(
            conv_block_2d(3 * self.window_frames, a, 7, padding=3),
            conv_block_2d(a, b, 5, stride=(1, 2), padding=1),
            *(conv_block_2d(b, b, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(b, c, 3, stride=2, padding=1),
            *(conv_block_2d(c, c, 3, padding=1, residual=True) for _ in range(3)),
            conv_block_2d(c, d, 3, stride=2, padding=1),
            *(conv_block_2d(d, d, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(d, dim, 3, stride=2, padding=1),
            *(conv_block_2d(dim, dim, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(dim, dim, 3, stride=2, padding=1),
            conv_block_2d(dim, dim, 3),
            conv_block_2d(dim, dim, 1),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Map RGB frames to one token per window.

        Args:
            frames: RGB frames `(B, 3, T, 48, 96)` in [0, 1].

        Returns:
            Tokens `(B, T - window_frames + 1, dim)`.
        """
        size = (3, HEIGHT, WIDTH)
        if (
            frames.ndim != 5
            or (frames.shape[1], *frames.shape[3:]) != size
            or frames.shape[2] < self.window_frames
        ):
            raise ValueError(
                f"frames must be (B, 3, T >= {self.window_frames}, {HEIGHT}, {WIDTH}), "
                f"got {tuple(frames.shape)}"
            )
        windows = frames.unfold(2, self.window_frames, 1)
        x = rearrange(windows, "b c n h w t -> (b n) (t c) h w")
        x = self.blocks(x.contiguous(memory_format=torch.channels_last))
        return rearrange(x, "(b n) d 1 1 -> b n d", b=len(frames))


class Wav2LipAudioEncoder(nn.Module):
    """Wav2Lip expert's audio encoder: log-mel windows to one non-negative token each.

    Args:
        channels: widths of the five stages; the last is that of the tokens.
        window_columns: columns of a window, 80 a second; the kernel of the last layer but one
            covers all that the strides leave of them.
        last_residuals: residual blocks of the fourth stage; Wav2Lip's generator has 1.
    """

    n_mels = 80

    def __init__(
        self,
        channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512),
        window_columns: int = 16,
        last_residuals: int = 2,
    ) -> None:
        super().__init__()
        if window_columns < 1:
            raise ValueError(f"window_columns must be 1 or more, got {window_columns}")
        self.window_columns = window_columns
        a, b, c, d, dim = channels
        # Strides of 3 and 2 in time, rounded up: 16 columns become 3, 80 become 14.
        columns = ((window_columns + 2) // 3 + 1) // 2
        self.blocks = nn.Sequential(
            conv_block_2d(1, a, 3, padding=1),
            *(conv_block_2d(a, a, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(a, b, 3, stride=(3, 1), padding=1),
            *(conv_block_2d(b, b, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(b, c, 3, stride=3, padding=1),
            *(conv_block_2d(c, c, 3, padding=1, residual=True) for _ in range(2)),
            conv_block_2d(c, d, 3, stride=(3, 2), padding=1),
            *(conv_block_2d(d, d, 3, padding=1, residual=True) for _ in range(last_residuals)),
            conv_block_2d(d, dim, (3, columns)),
            conv_block_2d(dim, dim, 1),
        )
        # Up to a fifth faster on CPUs.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mel: Tensor) -> Tensor:
        """Map log-mel windows `(B, 80, window_columns)` in [-4, 4] to tokens `(B, dim)`."""
        if mel.ndim != 3 or mel.shape[1:] != (self.n_mels, self.window_columns):
            raise ValueError(
                f"mel must be (B, {self.n_mels}, {self.window_columns}), got {tuple(mel.shape)}"
            )
        return rearrange(self.blocks(rearrange(mel, "b m s -> b 1 m s")), "b d 1 1 -> b d")
