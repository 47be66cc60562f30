"""Encoders of face_sync: mouth landmarks, mouth pixels and speech tokens, unpadded in time."""

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn

# Motion is smaller than position: velocities and accelerations are scaled to a similar size.
MOTION_SCALE = 3.0


class LandmarkEncoder(nn.Module):
    """Encodes landmarks of the mouth, with their velocity and acceleration.

    Token k is computed from frames k to k + 4 only.

    Args:
        dim: width of the tokens.
        points: number of landmarks.
        dropout: share of channels that are dropped in training.
    """

    receptive_frames = 5

    def __init__(self, dim: int = 192, points: int = 62, dropout: float = 0.2) -> None:
        super().__init__()
        self.points = points
        self.layers = nn.Sequential(
            nn.Conv1d(9 * points, dim, 1),
            nn.BatchNorm1d(dim),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv1d(dim, dim, 3),
            nn.BatchNorm1d(dim),
            nn.ReLU(inplace=True),
        )

    def forward(self, landmarks: Tensor) -> Tensor:
        """Map landmarks `(B, T, N, 3)` to tokens `(B, T - 4, dim)`."""
        if landmarks.ndim != 4 or landmarks.shape[2:] != (self.points, 3) or landmarks.shape[1] < 5:
            raise ValueError(
                f"landmarks must be (B, T >= 5, {self.points}, 3), got {tuple(landmarks.shape)}"
            )
        x = rearrange(landmarks, "b t n xyz -> b (n xyz) t")
        velocity = x[..., 1:] - x[..., :-1]
        acceleration = velocity[..., 1:] - velocity[..., :-1]
        parts = [x[..., 1:-1], MOTION_SCALE * velocity[..., :-1], MOTION_SCALE * acceleration]
        return rearrange(self.layers(torch.cat(parts, 1)), "b d t -> b t d")


class MouthPixelEncoder(nn.Module):
    """Encodes grey crops of the mouth: teeth, tongue and rounding, which landmarks lack.

    Token k is computed from frames k to k + 4 only.

    Args:
        dim: width of the tokens.
        channels: width of the stem; each stage that follows is wider.
        dropout: share of channels that are dropped in training.
    """

    receptive_frames = 5
    stacked_frames = 3
    crop_size = 48

    def __init__(self, dim: int = 192, channels: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        widths = [channels * factor for factor in (1, 2, 4, 4, 6)]
        strides = (2, 2, 1, 2)
        self.shapes = nn.Sequential(
            _conv_norm_relu(self.stacked_frames, channels, 5, 2),
            *(
                _conv_norm_relu(a, b, 3, stride)
                for (a, b), stride in zip(pairwise(widths), strides, strict=True)
            ),
        )
        self.project = nn.Sequential(
            nn.Linear(9 * widths[-1], dim),
            nn.BatchNorm1d(dim),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.motion = nn.Sequential(
            nn.Conv1d(dim, dim, 3), nn.BatchNorm1d(dim), nn.ReLU(inplace=True)
        )

    def forward(self, grey: Tensor) -> Tensor:
        """Map grey mouths `(B, T, 48, 48)`, any range, to tokens `(B, T - 4, dim)`."""
        size = self.crop_size
        if grey.ndim != 4 or grey.shape[2:] != (size, size) or grey.shape[1] < 5:
            raise ValueError(f"grey must be (B, T >= 5, {size}, {size}), got {tuple(grey.shape)}")
        batch = len(grey)
        # Each frame is standardised: exposure and contrast depend on the camera, not on speech.
        mean, spread = grey.mean((2, 3), keepdim=True), grey.std((2, 3), keepdim=True)
        x = (grey - mean) / (spread + 0.02)
        x = torch.stack([x[:, k : x.shape[1] - 2 + k] for k in range(3)], 2)
        x = rearrange(x, "b t c h w -> (b t) c h w").contiguous(memory_format=torch.channels_last)
        x = self.project(rearrange(self.shapes(x), "n c h w -> n (c h w)"))
        x = self.motion(rearrange(x, "(b t) d -> b d t", b=batch))
        return rearrange(x, "b d t -> b t d")


class SpeechTokenEncoder(nn.Module):
    """Encodes frozen speech tokens of 20 ms to tokens that are compared with a window of frames.

    Args:
        dim: width of the tokens.
        in_dim: width of the speech tokens.
        hidden: width of the layers.
        dropout: share of channels that are dropped in training.
    """

    # Kernel sizes in tokens.
    kernels = (5, 5, 3)
    receptive_tokens = 1 + sum(size - 1 for size in kernels)

    def __init__(
        self, dim: int = 128, in_dim: int = 384, hidden: int = 192, dropout: float = 0.2
    ) -> None:
        super().__init__()
        # Speech tokens differ in scale from channel to channel.
        standardise = nn.BatchNorm1d(in_dim, affine=False)
        layers = [standardise, nn.Dropout(dropout / 2), nn.Conv1d(in_dim, hidden, 1)]
        for size in self.kernels:
            width = dim if size == self.kernels[-1] else hidden
            norm = [nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            layers += [*norm, nn.Conv1d(hidden, width, size)]
        self.layers = nn.Sequential(*layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map speech tokens `(B, L, in_dim)` to tokens `(B, L - 10, dim)`."""
        if tokens.ndim != 3 or tokens.shape[1] < self.receptive_tokens:
            raise ValueError(
                f"tokens must be (B, L >= {self.receptive_tokens}, D), got {tuple(tokens.shape)}"
            )
        return rearrange(self.layers(rearrange(tokens, "b l d -> b d l")), "b d l -> b l d")


def _conv_norm_relu(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
