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


class SyncNetLipEncoder(nn.Module):
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
