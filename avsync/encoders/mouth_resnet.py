"""AV-HuBERT's visual front end: a convolution that sees five frames, then a ResNet-18 on each.

Shi, Hsu, Lakhotia and Mohamed, Learning Audio-Visual Speech Representation by Masked Multimodal
Cluster Prediction (ICLR 2022).
"""

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

STEM_FRAMES = 5
# The smallest crop that the stem, the pooling and three halvings leave a pixel of.
SMALLEST = 16


class MouthResnetEncoder(nn.Module):
    """Turns a clip of grey mouth crops of any size into one token per video frame.

    A token sees two frames to either side; beyond the clip's ends stand zeros.

    Args:
        channels: widths of the stem and first stage, and of three more that halve height and width;
            the last is that of the tokens.
    """

    # Grey levels of the crops that the published model was trained on.
    mean, spread = 0.421, 0.165
    reach_frames = STEM_FRAMES // 2

    def __init__(self, channels: tuple[int, int, int, int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        first = channels[0]
        # Named as in the published model; the convolution is done in two dimensions.
        self.stem = nn.Conv3d(1, first, (STEM_FRAMES, 7, 7), bias=False)
        nn.init.kaiming_normal_(self.stem.weight, mode="fan_out", nonlinearity="relu")
        self.stem_norm, self.stem_act = nn.BatchNorm2d(first), nn.PReLU(first)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages: list[nn.Module] = []
        before = first
        for number, width in enumerate(channels):
            stages += [PreluBlock(before, width, 2 if number else 1), PreluBlock(width, width)]
            before = width
        self.trunk = nn.Sequential(*stages)

    def forward(self, grey: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps grey crops `(B, T, H, W)` in [0, 1] to tokens `(B, T, channels[-1])`; beyond
        `lengths` `(B,)` frames they are zeros, and cost nothing.
        """
        if grey.ndim != 4 or min(grey.shape[2:]) < SMALLEST:
            raise ValueError(
                f"video must be grey (B, T, H, W) of at least {SMALLEST} pixels, "
                f"got {tuple(grey.shape)}"
            )
        x = F.pad((grey - self.mean) / self.spread, (0, 0, 0, 0, *(2 * [self.reach_frames])))
        # Five frames as channels: quicker on CPUs than the convolution in three dimensions. Not
        # channels last: torch 2.11 then corrupts memory in training, see Resnet2d3dEncoder.
        starts = range(STEM_FRAMES)
        x = torch.stack([x[:, k : k + grey.shape[1]] for k in starts], dim=2).flatten(0, 1)
        if lengths is None:
            return rearrange(self._tokens(x), "(b t) c -> b t c", b=len(grey))
        counted = torch.arange(grey.shape[1], device=grey.device) < lengths[:, None]
        tokens = self._tokens(x[counted.flatten()])
        return tokens.new_zeros(*counted.shape, tokens.shape[1]).index_put((counted,), tokens)

    def _tokens(self, x: Tensor) -> Tensor:
        """Stacks of frames `(N, 5, H, W)` -> tokens `(N, channels[-1])`."""
        x = F.conv2d(x, self.stem.weight[:, 0], stride=2, padding=3)
        x = self.trunk(self.pool(self.stem_act(self.stem_norm(x))))
        return reduce(x, "n c h w -> n c", "mean")


class PreluBlock(nn.Module):
    """A ResNet block with a learnt slope for what is negative.

    Args:
        in_channels: width of what comes in.
        out_channels: width of what goes out.
        stride: of the first convolution, and of the way past.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(in_channels, out_channels, 3, stride),
            nn.BatchNorm2d(out_channels),
            nn.PReLU(out_channels),
            convolution(out_channels, out_channels, 3),
            nn.BatchNorm2d(out_channels),
        )
        self.past: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            narrow = convolution(in_channels, out_channels, 1, stride)
            self.past = nn.Sequential(narrow, nn.BatchNorm2d(out_channels))
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, in_channels, H, W)` to `(N, out_channels, H / stride, W / stride)`."""
        out: Tensor = self.act(self.layers(x) + self.past(x))
        return out


def convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
