"""VocaLiST with other eyes: MC3-18, which the paper tried, or any 2-D network of timm.

The parts are VocaLiST's own but for the visual encoder, which is passed in.
"""

from dataclasses import dataclass

from avsync.encoders.frame_backbone import FrameBackboneEncoder
from avsync.encoders.mc3 import Mc3Encoder
from avsync.encoders.mel_columns import MelColumnEncoder
from avsync.fusion.cross_modal import CrossModalTransformer
from avsync.signal import DecibelMel
from avsync.tasks.vocalist import VisualEncoder, Vocalist


@dataclass(frozen=True)
class Mc3VocalistConfig:
    """Sizes of a VocaLiST with MC3-18 as its visual encoder.

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
    """Sizes of a VocaLiST that looks at each picture with a network of timm.

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


def build_mc3(config: Mc3VocalistConfig, pretrained: bool = False) -> Vocalist:
    """The model of that configuration; `pretrained` begins with eyes that know Kinetics-400."""
    if config.visual_channels[-1:] != config.channels[-1:]:
        raise ValueError(
            "the last of visual_channels and channels must be the same width, "
            f"got {config.visual_channels} and {config.channels}"
        )
    return _with(Mc3Encoder(config.visual_channels, pretrained), config)


def build_timm(config: TimmVocalistConfig, pretrained: bool = False) -> Vocalist:
    """The model of that configuration; `pretrained` begins with the weights that timm names."""
    visual = FrameBackboneEncoder(config.channels[-1], config.backbone, pretrained=pretrained)
    return _with(visual, config)


def _with(visual: VisualEncoder, config: Mc3VocalistConfig | TimmVocalistConfig) -> Vocalist:
    dim = config.channels[-1]

    def transformer() -> CrossModalTransformer:
        return CrossModalTransformer(dim, config.depth, config.heads)

    return Vocalist(
        visual=visual,
        audio=MelColumnEncoder(config.channels),
        front_end=DecibelMel(),
        audio_to_video=transformer(),
        video_to_audio=transformer(),
        fusion=transformer(),
        dim=dim,
        window_frames=config.window_frames,
    )
