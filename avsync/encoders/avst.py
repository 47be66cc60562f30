"""Encoders of AVST: a 2D-3D ResNet-18 for video and a convolutional network for log-mel.

Source: Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild
(BMVC 2021); the 2D-3D ResNet is that of Han, Xie and Zisserman, Video Representation Learning by
Dense Predictive Coding (2019).
"""

from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d

# Windows that pass the 3-D half together, and frames that pass the 2-D half together.
BATCH_WINDOWS = 8
BATCH_FRAMES = 64


class AvstVisualEncoder(nn.Module):
    """AVST's visual encoder: a clip of face crops to one token per video frame.

    The first half of the ResNet-18 is 2-D and sees each frame alone. The second half is 3-D: it
    sees 8 frames to either side and pads with zeros, so a token depends on the position of its
    frame in the window. A learned spatial position embedding is added to the last feature map,
    which is then max-pooled over all spatial positions.

    Args:
        channels: widths of the four stages; the last is that of the tokens.
        size: height and width of the crops, in pixels.
    """

    def __init__(
        self, channels: tuple[int, int, int, int] = (64, 128, 256, 512), size: int = 96
    ) -> None:
        super().__init__()
        a, b, c, d = channels
        self.size = size
        self.pictures = nn.Sequential(
            _conv_norm(nn.Conv2d, nn.BatchNorm2d, 3, a, 7, 2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
            *(ResidualBlock(nn.Conv2d, nn.BatchNorm2d, a, a) for _ in range(2)),
            ResidualBlock(nn.Conv2d, nn.BatchNorm2d, a, b, 2),
            ResidualBlock(nn.Conv2d, nn.BatchNorm2d, b, b),
        )
        self.motion = nn.Sequential(
            ResidualBlock(nn.Conv3d, nn.BatchNorm3d, b, c, (1, 2, 2)),
            ResidualBlock(nn.Conv3d, nn.BatchNorm3d, c, c),
            ResidualBlock(nn.Conv3d, nn.BatchNorm3d, c, d),
            ResidualBlock(nn.Conv3d, nn.BatchNorm3d, d, d),
        )
        # Not channels last: torch 2.11 then corrupts memory in training, in strided convolutions of
        # width 1 whose channels are few and odd.
        side = -(-size // 16)
        self.places = nn.Parameter(nn.init.trunc_normal_(torch.empty(d, 1, side, side), std=0.02))

    def forward(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, size, size)` in [0, 1] to tokens `(B, T, channels[-1])`."""
        return self._tokens(self._frame_maps(frames))

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Encode every window of `length` frames; each frame passes the 2-D half once.

        Args:
            frames: RGB frames `(B, 3, T, size, size)` in [0, 1].
            length: frames of a window.

        Returns:
            Tokens `(B, T - length + 1, length, D)`, those of `forward` on each window alone.
        """
        if frames.ndim != 5 or frames.shape[2] < length:
            raise ValueError(
                f"frames must be (B, 3, T >= {length}, H, W), got {tuple(frames.shape)}"
            )
        if frames.shape[2] == length:
            # Through the module's own call, so that forward hooks see single windows.
            return self(frames)[:, None]
        maps = self._frame_maps(frames).unfold(2, length, 1)
        maps = rearrange(maps, "b c n h w t -> (b n) c t h w")
        tokens = torch.cat([self._tokens(batch) for batch in self._batches(maps, BATCH_WINDOWS)])
        return rearrange(tokens, "(b n) t d -> b n t d", b=len(frames))

    def _frame_maps(self, frames: Tensor) -> Tensor:
        if frames.ndim != 5 or (frames.shape[1], *frames.shape[3:]) != (3, self.size, self.size):
            raise ValueError(
                f"frames must be (B, 3, T, {self.size}, {self.size}), got {tuple(frames.shape)}"
            )
        batches = self._batches(rearrange(frames, "b c t h w -> (b t) c h w"), BATCH_FRAMES)
        maps = torch.cat([self.pictures(batch) for batch in batches])
        return rearrange(maps, "(b t) c h w -> b c t h w", b=len(frames))

    def _batches(self, x: Tensor, size: int) -> tuple[Tensor, ...]:
        # In training batch norm takes its statistics over the whole batch, not over part of it.
        return (x,) if self.training else x.split(size)

    def _tokens(self, maps: Tensor) -> Tensor:
        return reduce(self.motion(maps) + self.places, "b d t h w -> b t d", "max")


class ResidualBlock(nn.Module):
    """ResNet basic block of two convolutions, in 2-D or 3-D.

    Args:
        conv: `nn.Conv2d` or `nn.Conv3d`.
        norm: the batch norm of the same dimensions.
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: stride of the first convolution and of the shortcut.
    """

    def __init__(
        self,
        conv: Any,
        norm: Any,
        in_channels: int,
        out_channels: int,
        stride: int | tuple[int, int, int] = 1,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv_norm(conv, norm, in_channels, out_channels, 3, stride),
            nn.ReLU(inplace=True),
            _conv_norm(conv, norm, out_channels, out_channels, 3),
        )
        changes_shape = stride != 1 or in_channels != out_channels
        self.past = (
            _conv_norm(conv, norm, in_channels, out_channels, 1, stride)
            if changes_shape
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, in_channels, ...)` to `(B, out_channels, ...)`, non-negative."""
        out: Tensor = self.layers(x) + self.past(x)
        return out.relu_()


def _conv_norm(
    conv: Any,
    norm: Any,
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int | tuple[int, int, int] = 1,
) -> nn.Sequential:
    layer = conv(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(layer, norm(out_channels))


class AvstAudioEncoder(nn.Module):
    """AVST's audio encoder: the log-mel of a window to tokens, one per four columns or so.

    Time is padded with zeros, so a token depends on the position of its columns in the window.

    Args:
        channels: widths of the layers; the last is that of the tokens.
    """

    n_mels, min_columns = 80, 7

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
        """Map a log-mel `(B, 80, S)` to tokens `(B, token_count(S), dim)`."""
        if mel.ndim != 3 or mel.shape[1] != self.n_mels or mel.shape[2] < self.min_columns:
            raise ValueError(
                f"mel must be (B, {self.n_mels}, S >= {self.min_columns}), got {tuple(mel.shape)}"
            )
        return rearrange(self.blocks(rearrange(mel, "b m s -> b 1 m s")), "b d 1 t -> b t d")

    @staticmethod
    def token_count(columns: int) -> int:
        """Return the number of tokens of a log-mel with this number of columns."""
        # Two max poolings of size 3 and stride 2.
        return ((columns - 3) // 2 - 2) // 2 + 1
