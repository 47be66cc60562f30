"""SyncNet's lip stream: one convolution over five frames, then 2-D layers on what it gives.

Chung and Zisserman, Out of Time: Automated Lip Sync in the Wild (ACCV-W 2016); the layers are those
of the released code.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d, conv_block_3d

CROP_SIZE = 224
# Below this the last pooling has nothing to pool.
SMALLEST = 64


class SyncNetVisualEncoder(nn.Module):
    """Turns a clip of faces into one token per five frames, dense in time.

    Time is never padded, and only the first layer spans it: token k is computed from frames k to k
    + 4 alone, wherever the clip was cut.

    Args:
        channels: widths of the first layer, of the trunk and of the features before the head.
        dim: width of the tokens.
        size: height and width of the crops; the last layer of the trunk spans what is left of them.
    """

    window_frames = 5

    def __init__(
        self,
        channels: tuple[int, int, int] = (96, 256, 512),
        dim: int = 1024,
        size: int = CROP_SIZE,
    ) -> None:
        super().__init__()
        if size < SMALLEST:
            raise ValueError(f"size must be {SMALLEST} or more pixels, got {size}")
        self.size = size
        stem, width, features = channels
        self.stem = conv_block_3d(3, stem, (self.window_frames, 7, 7), stride=(1, 2, 2))
        self.trunk = nn.Sequential(
            nn.MaxPool2d(3, 2),
            conv_block_2d(stem, width, 5, stride=2, padding=1),
            nn.MaxPool2d(3, 2, padding=1),
            *(conv_block_2d(width, width, 3, padding=1) for _ in range(3)),
            nn.MaxPool2d(3, 2),
            conv_block_2d(width, features, _left_of(size)),
        )
        self.head = nn.Sequential(
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.ReLU(inplace=True),
            nn.Linear(features, dim),
        )
        # Channels last is a fifth faster on CPUs, and hands the stem's output on without a copy.
        self.stem.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Maps RGB frames `(B, 3, T, size, size)` in [0, 1] to tokens `(B, T - 4, dim)`."""
        features = self.features(frames)
        tokens = self.head(rearrange(features, "b t d -> (b t) d"))
        return rearrange(tokens, "(b t) d -> b t d", b=len(frames))

    def features(self, frames: Tensor) -> Tensor:
        """Maps RGB frames `(B, 3, T, size, size)` in [0, 1] to the features before the head, `(B, T
        - 4, channels[-1])`, never negative: what lip-reading and recognition models start from.
        """
        size = (3, self.size, self.size)
        if (
            frames.ndim != 5
            or (frames.shape[1], *frames.shape[3:]) != size
            or frames.shape[2] < self.window_frames
        ):
            raise ValueError(
                f"frames must be (B, 3, T >= {self.window_frames}, {self.size}, {self.size}), "
                f"got {tuple(frames.shape)}"
            )
        x = rearrange(self.stem(frames), "b c t h w -> (b t) c h w")
        return rearrange(self.trunk(x), "(b t) d 1 1 -> b t d", b=len(frames))


def _left_of(size: int) -> int:
    """Pixels of the trunk's last map: the stem and the four strided layers after it, in turn."""
    for kernel, padding in ((7, 0), (3, 0), (5, 1), (3, 1), (3, 0)):
        size = (size + 2 * padding - kernel) // 2 + 1
    return size


class SyncNetAudioEncoder(nn.Module):
    """Turns windows of 20 MFCC columns, 0.2 s of sound, into one token each.

    Args:
        channels: widths of the convolutions; the last is that of the features before the head.
        dim: width of the tokens.
    """

    n_mfcc, window_columns = 13, 20
    # Of `dense`: columns from one token to the next, and what one sees: its own, as many of a
    # window's as its layers reach without padding, and `beside` on either side of them.
    dense_step, dense_columns, dense_context = 4, 19, 8

    def __init__(
        self, channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 512), dim: int = 1024
    ) -> None:
        super().__init__()
        a, b, c, d, features = channels
        self.blocks = nn.Sequential(
            conv_block_2d(1, a, 3, padding=1),
            conv_block_2d(a, b, 3, padding=1),
            nn.MaxPool2d(3, stride=(1, 2)),
            conv_block_2d(b, c, 3, padding=1),
            conv_block_2d(c, d, 3, padding=1),
            conv_block_2d(d, d, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            conv_block_2d(d, features, (5, 4)),
        )
        self.head = nn.Sequential(
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.ReLU(inplace=True),
            nn.Linear(features, dim),
        )
        # Up to a fifth faster on CPUs.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, mfcc: Tensor) -> Tensor:
        """Maps MFCC windows `(B, 13, 20)`, of sound on the scale of 16-bit samples, to tokens `(B,
        dim)`.
        """
        return self.head(self.features(mfcc))

    def features(self, mfcc: Tensor) -> Tensor:
        """Maps MFCC windows `(B, 13, 20)` to the features before the head, `(B, channels[-1])`."""
        if mfcc.ndim != 3 or mfcc.shape[1:] != (self.n_mfcc, self.window_columns):
            raise ValueError(
                f"mfcc must be (B, {self.n_mfcc}, {self.window_columns}), got {tuple(mfcc.shape)}"
            )
        return rearrange(self.blocks(rearrange(mfcc, "b m s -> b 1 m s")), "b d 1 1 -> b d")

    def dense(self, mfcc: Tensor) -> Tensor:
        """Maps the MFCC of a clip `(B, 13, S)` to tokens `(B, 1 + (S - 19) // 4, dim)`, one for
        every fourth column, a frame of 25 a second: the same layers, run over the clip as a whole.

        Token k stands for the window that starts at column 4 k. Where `forward` pads that window
        with zeros it sees the clip: columns 4 k - 8 to 4 k + 26, with zeros beyond the clip's ends.
        """
        if mfcc.ndim != 3 or mfcc.shape[1] != self.n_mfcc or mfcc.shape[2] < self.dense_columns:
            raise ValueError(
                f"mfcc must be (B, {self.n_mfcc}, S >= {self.dense_columns}), got {tuple(mfcc.shape)}"
            )
        features = rearrange(self.blocks(rearrange(mfcc, "b m s -> b 1 m s")), "b d 1 t -> b t d")
        # A linear layer on every token is a convolution of width 1.
        tokens = self.head(rearrange(features, "b t d -> (b t) d"))
        return rearrange(tokens, "(b t) d -> b t d", b=len(mfcc))
