"""SyncNet's audio stream: 2-D convolutions over a window of cepstra.

Chung and Zisserman, Out of Time: Automated Lip Sync in the Wild (ACCV-W 2016).
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import conv_block_2d


class SyncNetMfccEncoder(nn.Module):
    """Turns windows of 20 MFCC columns, 0.2 s of sound, into one token each.

    Args:
        channels: widths of the convolutions; the last is that of the features before the head.
        dim: width of the tokens.
    """

    n_mfcc, window_columns = 13, 20
    # Of `dense`: columns from one token to the next, and what one sees: its own, as many of a
    # window's as its layers reach without padding, and `beside` on either side of them.
    dense_step, dense_own, dense_beside = 4, 19, 8

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
        if mfcc.ndim != 3 or mfcc.shape[1] != self.n_mfcc or mfcc.shape[2] < self.dense_own:
            raise ValueError(
                f"mfcc must be (B, {self.n_mfcc}, S >= {self.dense_own}), got {tuple(mfcc.shape)}"
            )
        features = rearrange(self.blocks(rearrange(mfcc, "b m s -> b 1 m s")), "b d 1 t -> b t d")
        # A linear layer on every token is a convolution of width 1.
        tokens = self.head(rearrange(features, "b t d -> (b t) d"))
        return rearrange(tokens, "(b t) d -> b t d", b=len(mfcc))
