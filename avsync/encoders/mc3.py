"""MC3-18: convolutions that see motion first and pictures after, torchvision's, as a token encoder.

Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (CVPR 2018).
VocaLiST's paper tried it in place of its own visual encoder.
"""

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.encoders.fetching import fetching

# Windows that go through the convolutions together.
BATCH_WINDOWS = 8
# Kinetics-400, as torchvision normalises it.
MEAN, SPREAD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


class Mc3Encoder(nn.Module):
    """Turns a clip of crops of any size into one token per video frame.

    Only the stem and the first stage span time, 5 frames to either side in all, and pad it with
    zeros; no layer strides it. A token depends on where its frame stands in the window.

    Args:
        dim: width of the tokens. 512, the width of the last stage, needs no projection, and such
            tokens are never negative.
        stages: how many of the four stages are used; each but the first halves height and width and
            doubles the channels, from 64.
        pretrained: begin with torchvision's weights, of Kinetics-400, which are fetched.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, dim: int = 512, stages: int = 4, pretrained: bool = False) -> None:
        super().__init__()
        if not 1 <= stages <= 4:
            raise ValueError(f"stages must be 1 to 4, got {stages}")
        try:
            from torchvision.models.video import MC3_18_Weights, mc3_18
        except ImportError as error:
            raise RuntimeError("MC3-18 needs torchvision: pip install 'avsync[train]'") from error
        with fetching("MC3-18"):
            whole = mc3_18(weights=MC3_18_Weights.KINETICS400_V1 if pretrained else None)
        trunk = (whole.layer1, whole.layer2, whole.layer3, whole.layer4)
        self.trunk = nn.Sequential(whole.stem, *trunk[:stages])
        width = 64 * 2 ** (stages - 1)
        self.proj = nn.Identity() if dim == width else nn.Linear(width, dim)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD).view(3, 1, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Maps RGB frames `(B, 3, T, H, W)` in [0, 1] to tokens `(B, T, dim)`."""
        if frames.ndim != 5 or frames.shape[1] != 3:
            raise ValueError(f"frames must be (B, 3, T, H, W), got {tuple(frames.shape)}")
        x = self.trunk((frames - self.mean) / self.spread)
        tokens: Tensor = self.proj(reduce(x, "b c t h w -> b t c", "mean"))
        return tokens

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Maps frames `(B, 3, T, H, W)` to tokens `(B, T - length + 1, length, dim)` of every
        window of `length` frames.
        """
        if frames.ndim != 5 or frames.shape[2] < length:
            raise ValueError(
                f"frames must be (B, 3, T >= {length}, H, W), got {tuple(frames.shape)}"
            )
        windows = rearrange(frames.unfold(2, length, 1), "b c n h w t -> (b n) c t h w")
        tokens = torch.cat([self(batch) for batch in windows.split(BATCH_WINDOWS)])
        return rearrange(tokens, "(b n) t d -> b n t d", b=len(frames))
