"""Encoders of SyncNet: five frames of a face, or 20 MFCC columns, to one token.

Source: Chung and Zisserman, Out of Time: Automated Lip Sync in the Wild (ACCV-W 2016); the layers
are those of the released code.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d, conv_block_3d

CROP_SIZE = 224
# The smallest crop, in pixels: below it the last pooling has no input left.
MIN_SIZE = 64


class SyncNetVisualEncoder(nn.Module):
    """SyncNet's visual encoder: a clip of face crops to one token per five frames, dense in time.

    Time is never padded, and only the first layer convolves over it: token k is computed from
    frames k to k + 4 only, so it does not depend on where the clip was cut.

    Args:
        channels: widths of the first layer, of the trunk and of the features before the head.
        dim: width of the tokens.
        size: height and width of the crops; the last layer of the trunk covers its whole map.
    """

    window_frames = 5

    def __init__(
        self,
        channels: tuple[int, int, int] = (96, 256, 512),
        dim: int = 1024,
        size: int = CROP_SIZE,
    ) -> None:
        super().__init__()
        if size < MIN_SIZE:
            raise ValueError(f"size must be {MIN_SIZE} or more pixels, got {size}")
        self.size = size
        stem, width, features = channels
        self.stem = conv_block_3d(3, stem, (self.window_frames, 7, 7), stride=(1, 2, 2))
        self.trunk = nn.Sequential(
            nn.MaxPool2d(3, 2),
            conv_block_2d(stem, width, 5, stride=2, padding=1),
            nn.MaxPool2d(3, 2, padding=1),
            *(conv_block_2d(width, width, 3, padding=1) for _ in range(3)),
            nn.MaxPool2d(3, 2),
            conv_block_2d(width, features, _map_size(size)),
        )
        self.head = nn.Sequential(
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.ReLU(inplace=True),
            nn.Linear(features, dim),
        )
        # Channels last is a fifth faster on CPUs, and needs no copy of the stem's output.
        self.stem.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, size, size)` in [0, 1] to tokens `(B, T - 4, dim)`."""
        features = self.features(frames)
        tokens = self.head(rearrange(features, "b t d -> (b t) d"))
        return rearrange(tokens, "(b t) d -> b t d", b=len(frames))

    def features(self, frames: Tensor) -> Tensor:
        """Map frames to the features before the head, which lip-reading models start from.

        Args:
            frames: RGB frames `(B, 3, T, size, size)` in [0, 1].

        Returns:
            Non-negative features `(B, T - 4, channels[-1])`.
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


def _map_size(size: int) -> int:
    """Return the height and width of the trunk's last map."""
    # The stem and the four strided layers after it, in turn.
    for kernel, padding in ((7, 0), (3, 0), (5, 1), (3, 1), (3, 0)):
        size = (size + 2 * padding - kernel) // 2 + 1
    return size


class SyncNetAudioEncoder(nn.Module):
    """SyncNet's audio encoder: windows of 20 MFCC columns, 0.2 s of audio, to one token each.

    Args:
        channels: widths of the convolutions; the last is that of the features before the head.
        dim: width of the tokens.
    """

    n_mfcc, window_columns = 13, 20
    # Of `dense`: columns from one token to the next; columns of a window that its layers reach
    # without padding; and further columns that a token sees on either side of them.
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
        """Map MFCC windows `(B, 13, 20)`, on the scale of 16-bit samples, to tokens `(B, dim)`."""
        return self.head(self.features(mfcc))

    def features(self, mfcc: Tensor) -> Tensor:
        """Map MFCC windows `(B, 13, 20)` to the features before the head, `(B, channels[-1])`."""
        if mfcc.ndim != 3 or mfcc.shape[1:] != (self.n_mfcc, self.window_columns):
            raise ValueError(
                f"mfcc must be (B, {self.n_mfcc}, {self.window_columns}), got {tuple(mfcc.shape)}"
            )
        return rearrange(self.blocks(rearrange(mfcc, "b m s -> b 1 m s")), "b d 1 1 -> b d")

    def dense(self, mfcc: Tensor) -> Tensor:
        """Run the layers over the MFCC of a whole clip: one token for every fourth column.

        That is one token per video frame at 25 fps. Token k is that of the window that starts at
        column 4 k. Where `forward` pads the window with zeros it sees the clip instead: columns
        4 k - 8 to 4 k + 26, with zeros beyond the clip's ends.

        Args:
            mfcc: MFCC of a clip `(B, 13, S)`.

        Returns:
            Tokens `(B, 1 + (S - 19) // 4, dim)`.
        """
        if mfcc.ndim != 3 or mfcc.shape[1] != self.n_mfcc or mfcc.shape[2] < self.dense_columns:
            expected = f"(B, {self.n_mfcc}, S >= {self.dense_columns})"
            raise ValueError(f"mfcc must be {expected}, got {tuple(mfcc.shape)}")
        features = rearrange(self.blocks(rearrange(mfcc, "b m s -> b 1 m s")), "b d 1 t -> b t d")
        # A linear layer on every token is a convolution of width 1.
        tokens = self.head(rearrange(features, "b t d -> (b t) d"))
        return rearrange(tokens, "(b t) d -> b t d", b=len(mfcc))
