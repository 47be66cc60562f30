"""One token per video frame from encoders that give one token per window of frames."""

from typing import Protocol

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

SIZE = 96
# Left, top, right and bottom, as shares of the mouth crop. Y-Net-m was trained on columns 20 to 79
# and rows 60 to 99 of a face 96 wide and 128 high, aligned to a mean face of 68 landmarks
# (Montesinos, Kadandale and Haro, A cappella, BMVC 2021); this is the same window relative to the
# mouth crop of that mean face.
WINDOW = (0.161, 0.248, 0.817, 0.605)


class FrameTokens(nn.Module):
    """Assign every frame of a clip the token of the window centred on it.

    Frames near either end, on which no window is centred, get the nearest window's token.

    Args:
        encoder: frames `(B, 3, T, H, W)` -> tokens `(B, T - window_frames + 1, D)`.
        window_frames: frames of the window that one token is computed from.
        unit: normalise tokens to unit length, as models do that compare them by cosine similarity.
    """

    def __init__(self, encoder: nn.Module, window_frames: int, unit: bool = False) -> None:
        super().__init__()
        if window_frames < 1:
            raise ValueError(f"window_frames must be 1 or more, got {window_frames}")
        self.encoder, self.window_frames, self.unit = encoder, window_frames, unit

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames `(B, 3, T, H, W)` to tokens `(B, T, D)`."""
        tokens: Tensor = self.encoder(frames)
        if self.unit:
            tokens = F.normalize(tokens, dim=-1)
        return _replicate_ends(tokens, self.window_frames)


class WindowEncoder(Protocol):
    """Encoder module whose tokens depend on the position of their frame in a window."""

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Map frames `(B, 3, T, H, W)` to tokens `(B, T - length + 1, length, D)` by window."""


class CentreTokens(nn.Module):
    """Encode a window around every frame and keep the window's centre token.

    Windows are as long as those that the encoder was trained on.

    Args:
        encoder: encodes all windows of a clip.
        window_frames: frames of a window.
    """

    def __init__(self, encoder: WindowEncoder, window_frames: int) -> None:
        super().__init__()
        self.encoder, self.window_frames = encoder, window_frames

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames `(B, 3, T, H, W)` to tokens `(B, T, D)`."""
        tokens = self.encoder.windows(frames, self.window_frames)
        centres = tokens[:, :, (self.window_frames - 1) // 2]
        return _replicate_ends(centres, self.window_frames)


def _replicate_ends(tokens: Tensor, window_frames: int) -> Tensor:
    """Pad window tokens `(B, T - window_frames + 1, D)` to `(B, T, D)` with those at the ends."""
    before = (window_frames - 1) // 2
    after = window_frames - 1 - before
    padded = F.pad(rearrange(tokens, "b t d -> b d t"), (before, after), mode="replicate")
    return rearrange(padded, "b d t -> b t d")


class LipCropEncoder(nn.Module):
    """Crop the lips out of a `mouth` crop, resize them to a square and encode them.

    Args:
        encoder: frames `(B, 3, T, size, size)` -> tokens `(B, L, D)`.
        size: height and width of the square, in pixels.
        window: left, top, right and bottom of the lips, as shares of the mouth crop.
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
        """Map mouth crops `(B, 3, T, H, W)` to the encoder's tokens of their lips `(B, L, D)`."""
        if frames.ndim != 5:
            raise ValueError(f"frames must be (B, 3, T, H, W), got {tuple(frames.shape)}")
        tokens: Tensor = self.encoder(self.lips(frames))
        return tokens

    def lips(self, frames: Tensor) -> Tensor:
        """Crop and resize the lips of mouth crops `(B, C, T, H, W)` to `(B, C, T, size, size)`."""
        height, width = frames.shape[-2:]
        left, top, right, bottom = self.window
        rows = slice(round(top * height), round(bottom * height))
        columns = slice(round(left * width), round(right * width))
        crops = rearrange(frames[..., rows, columns], "b c t h w -> (b t) c h w")
        # Corners are aligned, as when the published weights were trained.
        squares = F.interpolate(crops, (self.size,) * 2, mode="bilinear", align_corners=True)
        return rearrange(squares, "(b t) c h w -> b c t h w", b=len(frames))
