"""MC3-18 visual encoder: 3-D convolutions in the first stages, 2-D after, of torchvision's blocks.

Source: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (CVPR
2018). VocaLiST's paper compares MC3-18 with its own visual encoder.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.encoders.conv_block import FoldedConv3d

# Windows that pass the convolutions together.
BATCH_WINDOWS = 8
# Mean and standard deviation of Kinetics-400, as in torchvision.
MEAN, SPREAD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
# Widths of the stages of MC3-18.
PUBLISHED = (64, 128, 256, 512)


class Mc3Encoder(nn.Module):
    """MC3 encoder: a clip of crops of any size to one non-negative token per video frame.

    Only the stem and the first stage convolve over time, 5 frames to either side in all, and pad it
    with zeros; no layer strides it. A token depends on the position of its frame in the window.

    Args:
        channels: widths of one to four stages; each but the first halves height and width; the last
            is that of the tokens. The default is MC3-18.
        pretrained: start from torchvision's Kinetics-400 weights, which are downloaded.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, channels: tuple[int, ...] = PUBLISHED, pretrained: bool = False) -> None:
        super().__init__()
        if not 1 <= len(channels) <= len(PUBLISHED):
            raise ValueError(f"channels must be 1 to 4 widths, got {channels}")
        self.trunk = _trunk(channels)
        if pretrained:
            self._load_pretrained(channels)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD).view(3, 1, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to tokens `(B, T, channels[-1])`."""
        if frames.ndim != 5 or frames.shape[1] != 3:
            raise ValueError(f"frames must be (B, 3, T, H, W), got {tuple(frames.shape)}")
        x = self.trunk((frames - self.mean) / self.spread)
        return reduce(x, "b c t h w -> b t c", "mean")

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Encode every window of `length` frames.

        Args:
            frames: RGB frames `(B, 3, T, H, W)` in [0, 1].
            length: frames of a window.

        Returns:
            Tokens `(B, T - length + 1, length, D)`.
        """
        if frames.ndim != 5 or frames.shape[2] < length:
            raise ValueError(
                f"frames must be (B, 3, T >= {length}, H, W), got {tuple(frames.shape)}"
            )
        windows = rearrange(frames.unfold(2, length, 1), "b c n h w t -> (b n) c t h w")
        tokens = torch.cat([self(batch) for batch in windows.split(BATCH_WINDOWS)])
        return rearrange(tokens, "(b n) t d -> b n t d", b=len(frames))

    def _load_pretrained(self, channels: tuple[int, ...]) -> None:
        from torchvision.models.video import MC3_18_Weights

        if channels != PUBLISHED[: len(channels)]:
            raise ValueError(f"pretrained weights are of channels {PUBLISHED}, got {channels}")
        with explain_download_errors("MC3-18"):
            state = MC3_18_Weights.KINETICS400_V1.get_state_dict(check_hash=True)
        self.trunk.load_state_dict({name: state[name] for name in self.trunk.state_dict()})


def _trunk(channels: tuple[int, ...]) -> nn.Sequential:
    try:
        from torchvision.models.video.resnet import Conv3DNoTemporal, Conv3DSimple
    except ImportError as error:
        raise RuntimeError("MC3 needs torchvision: pip install 'avsync[train]'") from error
    # torchvision's model has fixed widths; the names are torchvision's, so that its weights load.
    first = channels[0]
    stem = nn.Sequential(
        FoldedConv3d(3, first, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
        nn.BatchNorm3d(first),
        nn.ReLU(inplace=True),
    )
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    stages["layer1"] = _residual_blocks(first, first, Conv3DSimple)
    for number, (previous, width) in enumerate(pairwise(channels), start=2):
        stages[f"layer{number}"] = _residual_blocks(previous, width, Conv3DNoTemporal, stride=2)
    trunk = nn.Sequential(stages)
    for module in trunk.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return trunk


def _residual_blocks(
    in_channels: int, out_channels: int, conv: Any, stride: int = 1
) -> nn.Sequential:
    from torchvision.models.video.resnet import BasicBlock

    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(
            nn.Conv3d(in_channels, out_channels, 1, conv.get_downsample_stride(stride), bias=False),
            nn.BatchNorm3d(out_channels),
        )
    return nn.Sequential(
        BasicBlock(in_channels, out_channels, conv, stride, shortcut),
        BasicBlock(out_channels, out_channels, conv),
    )


@contextmanager
def explain_download_errors(name: str) -> Iterator[None]:
    """Turn a failed download of a model's weights into a RuntimeError that says what to do."""
    try:
        yield
    except OSError as error:
        raise RuntimeError(
            f"the weights of {name} could not be downloaded ({error}); without pretrained=True it "
            "starts from scratch"
        ) from error
