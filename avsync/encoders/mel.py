"""Mel encoder: log-mel columns to one token per column, dense in time."""

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn


class MelEncoder(nn.Module):
    """Turns log-mel columns into tokens, each from `receptive_columns` neighbouring columns.

    Frequency is halved stage by stage; time is neither padded nor strided, so token k sees columns
    k to k + 17 alone.

    Args:
        dim: width of the tokens.
        n_mels: mel bands, a multiple of 16.
        channels: width of the five stages.
    """

    spans = (5, 5, 5, 4, 3)
    receptive_columns = 1 + sum(span - 1 for span in spans)

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
            stage(a, b, (3, span), (2, 1), (1, 0))
            for (a, b), span in zip(pairwise((1, *channels[:4])), self.spans[:4], strict=True)
        ]
        last = stage(channels[3], channels[4], (n_mels // 16, self.spans[4]), (1, 1), (0, 0))
        self.stages = nn.Sequential(*stages, last)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Conv1d(channels[4], dim, 1))

    def forward(self, mel: Tensor) -> Tensor:
        """Maps log-mel `(B, M, S)` to tokens `(B, S - 17, dim)`."""
        if mel.ndim != 3 or mel.shape[1] != self.n_mels or mel.shape[2] < self.receptive_columns:
            raise ValueError(
                f"mel must be (B, {self.n_mels}, S >= {self.receptive_columns}), "
                f"got {tuple(mel.shape)}"
            )
        x = rearrange(mel, "b m s -> b 1 m s").contiguous(memory_format=torch.channels_last)
        x = self.stages(x)
        return rearrange(self.head(rearrange(x, "b c 1 s -> b c s")), "b d s -> b s d")


def stage(
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
