"""Encoders of dense_sync: grey mouth crops and log-mel to tokens, dense in time, unpadded."""

from itertools import pairwise

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

# Luminance of RGB (ITU-R BT.601): speech shows in the shape and shade of the lips; colour varies
# more with the camera than with speech.
LUMA = (0.299, 0.587, 0.114)


class DenseSyncVisualEncoder(nn.Module):
    """dense_sync's visual encoder: mouth crops to tokens of `receptive_frames` neighbouring frames.

    Time is never padded: token k is computed from frames k to k + 4 only, so it does not depend on
    where the clip was cut.

    Args:
        dim: width of the tokens.
        channels: width of the stem and of the three residual stages; each halves height and width.
    """

    stem_frames, motion_frames = 3, 3
    receptive_frames = stem_frames + motion_frames - 1

    def __init__(
        self, dim: int = 128, channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    ) -> None:
        super().__init__()
        stem, first, second, third = channels
        self.register_buffer("luma", torch.tensor(LUMA), persistent=False)
        self.stem = nn.Sequential(
            nn.Conv2d(self.stem_frames, stem, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        )
        self.shapes = nn.Sequential(DownsampleBlock(stem, first), DownsampleBlock(first, second))
        self.motion = nn.Sequential(
            nn.Conv2d(self.motion_frames * second, second, 1, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(inplace=True),
        )
        self.trunk = DownsampleBlock(second, third)
        self.spots = nn.Conv2d(third, third, 3, groups=third, bias=False)
        self.head = nn.Sequential(
            nn.BatchNorm1d(third), nn.ReLU(inplace=True), nn.Dropout(0.1), nn.Linear(third, dim)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to tokens `(B, T - 4, dim)`."""
        if frames.ndim != 5 or frames.shape[1] != 3 or frames.shape[2] < self.receptive_frames:
            raise ValueError(
                f"frames must be (B, 3, T >= {self.receptive_frames}, H, W), "
                f"got {tuple(frames.shape)}"
            )
        grey = torch.einsum("bcthw,c->bthw", frames, self.luma.to(frames.dtype))
        return self.encode_grey(grey)

    def encode_grey(self, grey: Tensor) -> Tensor:
        """Map grey frames `(B, T, H, W)`, any range, to tokens `(B, T - 4, dim)`."""
        batch = len(grey)
        # Each frame is standardised: exposure and contrast depend on the camera, not on speech.
        mean = reduce(grey, "b t h w -> b t 1 1", "mean")
        spread = grey.std((-2, -1), keepdim=True)
        x = rearrange((grey - mean) / (spread + 1e-3), "b t h w -> b t 1 h w")
        x = stack_frames(x, self.stem_frames)
        x = self.shapes(self.stem(x))
        x = stack_frames(rearrange(x, "(b t) c h w -> b t c h w", b=batch), self.motion_frames)
        x = self.spots(self.trunk(self.motion(x)))
        x = self.head(reduce(x, "n c h w -> n c", "mean"))
        return rearrange(x, "(b t) d -> b t d", b=batch)


def stack_frames(x: Tensor, count: int) -> Tensor:
    """Stack `count` neighbouring frames in the channels.

    A 2-D convolution of the result equals a valid 3-D convolution of `x`; channels last, it runs
    twice as fast on CPUs.

    Args:
        x: frames `(B, T, C, H, W)`.
        count: neighbouring frames to stack.

    Returns:
        Stacked frames `(B (T - count + 1), count C, H, W)`, channels last.
    """
    starts = x.shape[1] - count + 1
    stacked = torch.cat([x[:, k : k + starts] for k in range(count)], dim=2)
    flat = rearrange(stacked, "b t c h w -> (b t) c h w")
    return flat.contiguous(memory_format=torch.channels_last)


class DownsampleBlock(nn.Module):
    """Convolution of stride 2 followed by a residual convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )
        self.residual = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H / 2, W / 2)`."""
        x = self.down(x)
        return torch.relu(x + self.residual(x))


class DenseSyncAudioEncoder(nn.Module):
    """dense_sync's audio encoder: log-mel to tokens of `receptive_columns` neighbouring columns.

    Frequency is halved stage by stage; time is neither padded nor strided, so token k sees columns
    k to k + 17 only.

    Args:
        dim: width of the tokens.
        n_mels: mel bands, a multiple of 16.
        channels: width of the five stages.
    """

    # Kernel sizes of the stages in time, in columns.
    time_kernels = (5, 5, 5, 4, 3)
    receptive_columns = 1 + sum(size - 1 for size in time_kernels)

    def __init__(
        self,
        dim: int = 128,
        n_mels: int = 64,
        channels: tuple[int, int, int, int, int] = (32, 64, 96, 128, 256),
    ) -> None:
        super().__init__()
        if n_mels % 16:
            raise ValueError(f"n_mels must be a multiple of 16, got {n_mels}")
        self.n_mels = n_mels
        stages = [
            _conv_norm_relu(a, b, (3, size), (2, 1), (1, 0))
            for (a, b), size in zip(
                pairwise((1, *channels[:4])), self.time_kernels[:4], strict=True
            )
        ]
        kernel = (n_mels // 16, self.time_kernels[4])
        last = _conv_norm_relu(channels[3], channels[4], kernel, (1, 1), (0, 0))
        self.stages = nn.Sequential(*stages, last)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Conv1d(channels[4], dim, 1))

    def forward(self, mel: Tensor) -> Tensor:
        """Map log-mel `(B, M, S)` to tokens `(B, S - 17, dim)`."""
        if mel.ndim != 3 or mel.shape[1] != self.n_mels or mel.shape[2] < self.receptive_columns:
            raise ValueError(
                f"mel must be (B, {self.n_mels}, S >= {self.receptive_columns}), "
                f"got {tuple(mel.shape)}"
            )
        x = rearrange(mel, "b m s -> b 1 m s").contiguous(memory_format=torch.channels_last)
        x = self.stages(x)
        return rearrange(self.head(rearrange(x, "b c 1 s -> b c s")), "b d s -> b s d")


def _conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
