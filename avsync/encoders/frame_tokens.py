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


class CentreTokens(nn.Module):
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


# Left, top, right and bottom, as shares of the crop. Y-Net-m saw columns 20 to 79 and rows 60 to 99
# of a face 96 wide and 128 high, moved onto a mean face of 68 landmarks (Montesinos, Kadandale and
# Haro, A cappella, BMVC 2021); this is where they lie about that face's own mouth.
WINDOW = (0.161, 0.248, 0.817, 0.605)
SIZE = 96


class LipCropEncoder(nn.Module):
    """Shows an encoder the lips alone, out of a `mouth` crop, as a square whatever their shape.

    Args:
        encoder: frames `(B, 3, T, size, size)` -> tokens `(B, L, D)`.
        size: pixels of the square.
        window: left, top, right and bottom of what is shown, as shares of the crop.
    """

    def __init__(
        self,
        encoder: nn.Module,
        size: int = SIZE,
        window: tuple[float, float, float, float] = WINDOW,
    ) -> None:
        super().__init__()
        left, top, right, bottom = window
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError(f"window must be left, top, right, bottom in [0, 1], got {window}")
        self.encoder, self.size, self.window = encoder, size, window

    def forward(self, frames: Tensor) -> Tensor:
        """Maps mouth crops `(B, 3, T, H, W)` to the encoder's tokens of their lips `(B, L, D)`."""
        if frames.ndim != 5:
            raise ValueError(f"frames must be (B, 3, T, H, W), got {tuple(frames.shape)}")
        tokens: Tensor = self.encoder(self.lips(frames))
        return tokens

    def lips(self, frames: Tensor) -> Tensor:
        """Maps mouth crops `(B, C, T, H, W)` to their lips `(B, C, T, size, size)`."""
        height, width = frames.shape[-2:]
        left, top, right, bottom = self.window
        rows = slice(round(top * height), round(bottom * height))
        columns = slice(round(left * width), round(right * width))
        pictures = rearrange(frames[..., rows, columns], "b c t h w -> (b t) c h w")
        # Corners on corners, as the published weights were trained.
        square = F.interpolate(pictures, (self.size,) * 2, mode="bilinear", align_corners=True)
        return rearrange(square, "(b t) c h w -> b c t h w", b=len(frames))
