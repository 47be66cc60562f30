"""Tokens of windows as tokens of frames, for encoders that look at a few frames at a time."""

from typing import Protocol

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class FrameTokens(nn.Module):
    """Gives every frame of a clip the token of the window that it is the middle of.

    The frames at either end, which are the middle of no window, get the nearest window's.

    Args:
        encoder: frames `(B, 3, T, H, W)` -> tokens `(B, T - window_frames + 1, D)`.
        window_frames: frames that one token is made of.
        unit: tokens are brought to length one, as models do that compare them by their angle.
    """

    def __init__(self, encoder: nn.Module, window_frames: int, unit: bool = False) -> None:
        super().__init__()
        if window_frames < 1:
            raise ValueError(f"window_frames must be 1 or more, got {window_frames}")
        self.encoder, self.window_frames, self.unit = encoder, window_frames, unit

    def forward(self, frames: Tensor) -> Tensor:
        """Maps frames `(B, 3, T, H, W)` to tokens `(B, T, D)`."""
        tokens: Tensor = self.encoder(frames)
        if self.unit:
            tokens = F.normalize(tokens, dim=-1)
        return every_frame(tokens, self.window_frames)


class Windowed(Protocol):
    """An encoder, a module, whose tokens depend on where their frame stands in a window."""

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Maps frames `(B, 3, T, H, W)` to the tokens `(B, T - length + 1, length, D)` of every
        window.
        """


class MiddleTokens(nn.Module):
    """Shows an encoder windows as long as those it was trained on, and gives every frame the middle
    token of its own.

    Args:
        encoder: what sees the windows.
        window_frames: frames of a window.
    """

    def __init__(self, encoder: Windowed, window_frames: int) -> None:
        super().__init__()
        self.encoder, self.window_frames = encoder, window_frames

    def forward(self, frames: Tensor) -> Tensor:
        """Maps frames `(B, 3, T, H, W)` to tokens `(B, T, D)`."""
        tokens = self.encoder.windows(frames, self.window_frames)
        return every_frame(tokens[:, :, (self.window_frames - 1) // 2], self.window_frames)


def every_frame(tokens: Tensor, window_frames: int) -> Tensor:
    """Maps tokens `(B, T - window_frames + 1, D)` of windows to those of their middles `(B, T, D)`,
    the nearest repeated at both ends.
    """
    before = (window_frames - 1) // 2
    after = window_frames - 1 - before
    padded = F.pad(rearrange(tokens, "b t d -> b d t"), (before, after), mode="replicate")
    return rearrange(padded, "b d t -> b t d")
