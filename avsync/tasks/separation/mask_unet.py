"""The U-Net of the Y-Net family: it maps a complex spectrum to a complex mask.

Source: Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC
2021).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.audio.stft import ComplexStft

Channels = tuple[int, int, int, int, int, int]
PUBLISHED: Channels = (32, 64, 128, 256, 256, 256)
# Factors by which each block downsamples frequency and time.
POOLS = ((2, 2), (2, 2), (2, 2), (2, 2), (2, 1), (2, 1))
# Columns of the spectrum for one step of the latent map: a quarter of a second.
STEP_COLUMNS = 16


class Encoded(NamedTuple):
    """Output of a `MaskUNet`'s encoder.

    Args:
        latent: latent map `(B, C, 4, S / 16)`, which may be conditioned before decoding.
        skips: output of each encoder block before its pooling, for the decoder.
    """

    latent: Tensor
    skips: tuple[Tensor, ...]


class MaskUNet(nn.Module):
    """Map real and imaginary part of a spectrum to those of a mask, without a bound.

    Convolutional throughout: the number of columns is any multiple of 16.

    Args:
        channels: widths of the six encoder blocks; the decoder's mirror them.
    """

    def __init__(self, channels: Channels = PUBLISHED) -> None:
        super().__init__()
        if len(channels) != len(POOLS):
            raise ValueError(f"channels must be {len(POOLS)} widths, got {channels}")
        self.latent_channels = channels[-1]
        inputs = (2, *channels[:-1])
        self.encoder = nn.ModuleList(
            DownBlock(a, b, pool) for a, b, pool in zip(inputs, channels, POOLS, strict=True)
        )
        # The first block of the decoder is the bottleneck: it has no skip connection. The last one
        # does not upsample.
        joined = (channels[-1], *(2 * width for width in reversed(channels)))
        outputs = (*reversed(channels), channels[0])
        pools = (*reversed(POOLS), (1, 1))
        self.decoder = nn.ModuleList(
            UpBlock(a, b, pool) for a, b, pool in zip(joined, outputs, pools, strict=True)
        )
        self.head = nn.Conv2d(channels[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map a spectrum `(B, 2, 256, S)` to the logits of a mask `(B, 2, 256, S)`."""
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> Encoded:
        """Map a spectrum `(B, 2, 256, S)` to its latent map and skip connections."""
        bins = ComplexStft.mask_bins
        columns = x.shape[-1]
        if x.ndim != 4 or x.shape[1:3] != (2, bins) or columns == 0 or columns % STEP_COLUMNS:
            wanted = f"(B, 2, {bins}, S) with S a multiple of {STEP_COLUMNS}"
            raise ValueError(f"the spectrum must be {wanted}, got {tuple(x.shape)}")
        skips = []
        for block in self.encoder:
            skip, x = block(x)
            skips.append(skip)
        return Encoded(x, tuple(skips))

    def decode(self, encoded: Encoded) -> Tensor:
        """Map a latent map, conditioned or not, to the logits of a mask `(B, 2, 256, S)`."""
        first, *others = self.decoder
        x = first(encoded.latent)
        for block, skip in zip(others, reversed(encoded.skips), strict=True):
            x = block(torch.cat([x, skip], dim=1))
        logits: Tensor = self.head(x)
        return logits


class DownBlock(nn.Module):
    """A convolution, then max pooling; the skip connection starts before the pooling."""

    def __init__(self, in_channels: int, out_channels: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 5, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.pool = pool

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(B, in_channels, F, S)` to the block's output before and after its pooling."""
        x = F.leaky_relu(self.norm(self.conv(x)), 0.1)
        return x, F.max_pool2d(x, self.pool)


class UpBlock(nn.Module):
    """A convolution, then bilinear upsampling that undoes a pooling."""

    def __init__(self, in_channels: int, out_channels: int, scale: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, in_channels, F, S)` to `(B, out_channels, F * scale[0], S * scale[1])`."""
        x = F.relu(self.norm(self.conv(x)))
        if self.scale == (1, 1):
            return x
        # Corners are aligned, as in the training of the published weights.
        size = (x.shape[2] * self.scale[0], x.shape[3] * self.scale[1])
        return F.interpolate(x, size, mode="bilinear", align_corners=True)
