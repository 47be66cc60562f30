"""VocaLiST with other visual encoders: MC3-18, and any image model of timm.

Source: MC3-18 is an ablation of Kadandale, Montesinos and Haro, VocaLiST (Interspeech 2022).
"""

from dataclasses import dataclass

from avsync.encoders.pretrained.mc3 import Mc3Encoder
from avsync.encoders.pretrained.timm_backbone import TimmFrameEncoder
from avsync.tasks.sync.vocalist import VisualEncoder, Vocalist, VocalistConfig, build_vocalist


@dataclass(frozen=True)
class Mc3VocalistConfig:
    """Sizes of a VocaLiST with MC3-18 as visual encoder.

    Args:
        visual_channels: widths of MC3's stages, one to four; the last is that of the tokens.
        channels: widths of the audio encoder; the last is that of the tokens.
        depth: layers of each transformer.
        heads: attention heads.
        window_frames: video frames of a window.
    """

    visual_channels: tuple[int, ...] = (64, 128, 256, 512)
    channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    depth: int = 4
    heads: int = 8
    window_frames: int = 5


@dataclass(frozen=True)
class TimmVocalistConfig:
    """Sizes of a VocaLiST with an image model of timm as visual encoder.

    Args:
        backbone: name of an image model in timm.
        channels: widths of the audio encoder; the last is that of the tokens.
        depth: layers of each transformer.
        heads: attention heads.
        window_frames: video frames of a window.
    """

    backbone: str = "resnet18"
    channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    depth: int = 4
    heads: int = 8
    window_frames: int = 5


def build_mc3_vocalist(config: Mc3VocalistConfig, pretrained: bool = False) -> Vocalist:
    """Build a VocaLiST with MC3-18 as visual encoder.

    Args:
        config: sizes.
        pretrained: start the visual encoder from torchvision's Kinetics-400 weights.
    """
    if config.visual_channels[-1:] != config.channels[-1:]:
        raise ValueError(
            "the last of visual_channels and channels must be the same width, "
            f"got {config.visual_channels} and {config.channels}"
        )
    return _with_visual(Mc3Encoder(config.visual_channels, pretrained), config)


def build_timm_vocalist(config: TimmVocalistConfig, pretrained: bool = False) -> Vocalist:
    """Build a VocaLiST with an image model of timm as visual encoder.

    Args:
        config: sizes.
        pretrained: start the visual encoder from the weights that timm names.
    """
    visual = TimmFrameEncoder(config.channels[-1], config.backbone, pretrained=pretrained)
    return _with_visual(visual, config)


def _with_visual(visual: VisualEncoder, config: Mc3VocalistConfig | TimmVocalistConfig) -> Vocalist:
    sizes = VocalistConfig(config.channels, config.depth, config.heads, config.window_frames)
    return build_vocalist(sizes, visual)
