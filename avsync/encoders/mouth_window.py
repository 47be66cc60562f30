"""The window of a mouth crop that Y-Net-m was shown, stretched as it was shown it."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

# Left, top, right and bottom, as shares of the crop. Y-Net-m saw columns 20 to 79 and rows 60 to 99
# of a face 96 wide and 128 high, moved onto a mean face of 68 landmarks (Montesinos, Kadandale and
# Haro, A cappella, BMVC 2021); this is where they lie about that face's own mouth.
WINDOW = (0.161, 0.248, 0.817, 0.605)
SIZE = 96


class MouthWindow(nn.Module):
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
