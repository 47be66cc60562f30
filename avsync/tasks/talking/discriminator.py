"""Discriminator of generated faces: whether the lower half of a face is real.

Source: Prajwal et al., Wav2Lip (ACM Multimedia 2020); table 3 of SyncTalklip's supplement. The
table's padding of 1 throughout contradicts its own sizes, and it leaves the last layer out: both
are as in the public code here.
"""

import torch
from torch import Tensor, nn

from avsync.encoders.face_pyramid import SIZE

SLOPE = 0.01


class FaceDiscriminator(nn.Module):
    """Distinguish real faces from generated ones by their lower halves.

    Args:
        channels: widths of the layers, from 48x96 to 6x6; those at 3x3 and 1x1 are as wide as the
            last.
    """

    def __init__(self, channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        a, b, c, d, e = channels
        self.layers = nn.Sequential(
            *_layer(3, a, 7, padding=3),
            *_layer(a, b, 5, stride=(1, 2), padding=2),
            *_layer(b, b, 5, padding=2),
            *_layer(b, c, 5, stride=2, padding=2),
            *_layer(c, c, 5, padding=2),
            *_layer(c, d, 5, stride=2, padding=2),
            *_layer(d, d, 5, padding=2),
            *_layer(d, e, 3, stride=2, padding=1),
            *_layer(e, e, 3, padding=1),
            *_layer(e, e, 3, stride=2, padding=1),
            *_layer(e, e, 3, padding=1),
            *_layer(e, e, 3),
            *_layer(e, e, 1),
            nn.Conv2d(e, 1, 1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames `(B, 3, 96, 96)` in [0, 1] to logits `(B,)`, positive for real faces.

        The public code returns the sigmoid of these.
        """
        if frames.ndim != 4 or frames.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(f"frames must be (B, 3, {SIZE}, {SIZE}), got {tuple(frames.shape)}")
        logits: Tensor = self.layers(frames[:, :, SIZE // 2 :])
        return torch.flatten(logits)


def _layer(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int | tuple[int, int] = 1,
    padding: int = 0,
) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding), nn.LeakyReLU(SLOPE)
