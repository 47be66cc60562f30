"""AVST's visual stream: a ResNet-18 whose first half looks at pictures and whose second half looks
at motion.

Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild (BMVC
2021); the 2D-3D ResNet is that of Han, Xie and Zisserman, Video Representation Learning by Dense
Predictive Coding (2019).
"""

from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d

# Windows that go through the 3-D half together, and pictures through the 2-D half.
BATCH_WINDOWS = 8
BATCH_FRAMES = 64


class AvstVisualEncoder(nn.Module):
    """Turns a clip of faces into one token per video frame.

    Every picture passes the 2-D half alone. The 3-D half looks 8 frames to either side and pads
    with zeros, so a token depends on where its frame stands in the window. A learnt vector for each
    place of the picture is added, then each number of the token is the highest of all places.

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
            convolution(nn.Conv2d, nn.BatchNorm2d, 3, a, 7, 2),
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
        left = -(-size // 16)
        self.places = nn.Parameter(nn.init.trunc_normal_(torch.empty(d, 1, left, left), std=0.02))

    def forward(self, frames: Tensor) -> Tensor:
        """Maps RGB frames `(B, 3, T, size, size)` in [0, 1] to tokens `(B, T, channels[-1])`."""
        return self._tokens(self._shapes(frames))

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Maps frames `(B, 3, T, size, size)` to tokens `(B, T - length + 1, length, D)` of every
        window of `length` frames; each picture passes the 2-D half once.
        """
        if frames.ndim != 5 or frames.shape[2] < length:
            raise ValueError(
                f"frames must be (B, 3, T >= {length}, H, W), got {tuple(frames.shape)}"
            )
        if frames.shape[2] == length:
            # By the module's own call, so that hooks on it see windows that come one by one.
            return self(frames)[:, None]
        shapes = self._shapes(frames).unfold(2, length, 1)
        shapes = rearrange(shapes, "b c n h w t -> (b n) c t h w")
        tokens = torch.cat([self._tokens(batch) for batch in self._parts(shapes, BATCH_WINDOWS)])
        return rearrange(tokens, "(b n) t d -> b n t d", b=len(frames))

    def _shapes(self, frames: Tensor) -> Tensor:
        if frames.ndim != 5 or (frames.shape[1], *frames.shape[3:]) != (3, self.size, self.size):
            raise ValueError(
                f"frames must be (B, 3, T, {self.size}, {self.size}), got {tuple(frames.shape)}"
            )
        pictures = rearrange(frames, "b c t h w -> (b t) c h w")
        batches = self._parts(pictures, BATCH_FRAMES)
        shapes = torch.cat([self.pictures(batch) for batch in batches])
        return rearrange(shapes, "(b t) c h w -> b c t h w", b=len(frames))

    def _parts(self, x: Tensor, size: int) -> tuple[Tensor, ...]:
        # Statistics of a part would be those of one clip: training takes them of the whole batch.
        return (x,) if self.training else x.split(size)

    def _tokens(self, shapes: Tensor) -> Tensor:
        return reduce(self.motion(shapes) + self.places, "b d t h w -> b t d", "max")


class ResidualBlock(nn.Module):
    """Two convolutions and a way past them.

    Args:
        conv: `nn.Conv2d` or `nn.Conv3d`.
        norm: the batch norm for it.
        in_channels: width of what comes in.
        out_channels: width of what goes out.
        stride: of the first convolution, and of the way past.
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
            convolution(conv, norm, in_channels, out_channels, 3, stride),
            nn.ReLU(inplace=True),
            convolution(conv, norm, out_channels, out_channels, 3),
        )
        changes = stride != 1 or in_channels != out_channels
        self.past = (
            convolution(conv, norm, in_channels, out_channels, 1, stride)
            if changes
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, in_channels, ...)` to `(B, out_channels, ...)`, never negative."""
        out: Tensor = self.layers(x) + self.past(x)
        return out.relu_()


def convolution(
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
    """Turns the log-mel of a window into tokens, one for about four columns.

    Time is padded with zeros, so a token depends on where its columns stand in the window.

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
        """Maps a log-mel `(B, 80, S)` to tokens `(B, token_count(S), dim)`."""
        if mel.ndim != 3 or mel.shape[1] != self.n_mels or mel.shape[2] < self.min_columns:
            raise ValueError(
                f"mel must be (B, {self.n_mels}, S >= {self.min_columns}), got {tuple(mel.shape)}"
            )
        return rearrange(self.blocks(rearrange(mel, "b m s -> b 1 m s")), "b d 1 t -> b t d")

    @staticmethod
    def token_count(columns: int) -> int:
        """Tokens of so many columns: two poolings of 3, each with a stride of 2."""
        return ((columns - 3) // 2 - 2) // 2 + 1
