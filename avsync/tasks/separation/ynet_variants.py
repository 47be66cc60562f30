"""The Y-Net family: one Y-Net with different visual encoders.

Y-Net-m and Y-Net-mr differ in their training alone (r: a second voice in half of the mixtures), and
so do Y-Net-g and Y-Net-gr.
"""

from dataclasses import dataclass

from torch import nn

from avsync.encoders.dense_sync import DenseSyncVisualEncoder
from avsync.encoders.frame_tokens import SIZE as MOUTH_SIZE
from avsync.encoders.frame_tokens import CentreTokens, FrameTokens, LipCropEncoder
from avsync.encoders.pretrained.mc3 import Mc3Encoder
from avsync.encoders.st_gcn import CHANNELS as GRAPH_CHANNELS
from avsync.encoders.st_gcn import StGcnEncoder
from avsync.encoders.vocalist import HEIGHT, WIDTH, VocalistVisualEncoder
from avsync.encoders.wav2lip_expert import Wav2LipVisualEncoder
from avsync.faces.crops import CropKind
from avsync.fusion.film import Film
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths
from avsync.tasks.separation.mask_unet import PUBLISHED, Channels, MaskUNet
from avsync.tasks.separation.ynet import YNet


@dataclass(frozen=True)
class YNetMConfig:
    """Sizes of a Y-Net with the first stages of MC3-18 as visual encoder.

    Args:
        channels: widths of the U-Net's encoder.
        visual_channels: widths of MC3's stages, one to four; the last is that of the tokens.
        seconds: duration of training chunks.
        sources: see `YNet`.
        frozen: see `YNet`.
    """

    channels: Channels = PUBLISHED
    visual_channels: tuple[int, ...] = (64, 128, 256)
    seconds: int = 4
    sources: int = 2
    frozen: bool = False


@dataclass(frozen=True)
class YNetGConfig:
    """Sizes of a Y-Net conditioned on the landmarks of a face instead of its pixels.

    Args:
        channels: widths of the U-Net's encoder.
        visual_channels: widths of the graph network; the last is that of the tokens.
        seconds: duration of training chunks.
        sources: see `YNet`.
        frozen: see `YNet`.
    """

    channels: Channels = PUBLISHED
    visual_channels: tuple[int, ...] = GRAPH_CHANNELS
    seconds: int = 4
    sources: int = 2
    frozen: bool = False


@dataclass(frozen=True)
class YNetVConfig:
    """Sizes of a Y-Net with VocaLiST's visual encoder: Y-Net-mr-V.

    Args:
        channels: widths of the U-Net's encoder.
        visual_channels: widths of the visual encoder; the last is that of the tokens.
        window_frames: encode windows of this many frames, as VocaLiST was trained, and take the
            middle token of each; 0 encodes the whole chunk at once.
        seconds: duration of training chunks.
        sources: see `YNet`.
        frozen: see `YNet`.
    """

    channels: Channels = PUBLISHED
    visual_channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    window_frames: int = 0
    seconds: int = 4
    sources: int = 2
    frozen: bool = True


@dataclass(frozen=True)
class YNetSConfig:
    """Sizes of a Y-Net with the lip expert's visual encoder: Y-Net-mr-S*.

    Args:
        channels: widths of the U-Net's encoder.
        visual_channels: widths of the visual encoder; the last is that of the tokens.
        window_frames: frames of a window of the lip expert.
        seconds: duration of training chunks.
        sources: see `YNet`.
        frozen: see `YNet`.
    """

    channels: Channels = PUBLISHED
    visual_channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    window_frames: int = 5
    seconds: int = 4
    sources: int = 2
    frozen: bool = True


@dataclass(frozen=True)
class YNetDenseConfig:
    """Sizes of a Y-Net with the mouth encoder of dense_sync.

    Args:
        channels: widths of the U-Net's encoder.
        dim: width of the tokens.
        mouth_channels: widths of the mouth encoder.
        crop_size: height and width of the mouth crop, pixels.
        seconds: duration of training chunks.
        sources: see `YNet`.
        frozen: see `YNet`.
    """

    channels: Channels = PUBLISHED
    dim: int = 128
    mouth_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    crop_size: int = 56
    seconds: int = 4
    sources: int = 2
    frozen: bool = True


def build_ynet_m(config: YNetMConfig, pretrained: bool = False) -> YNet:
    """Build a Y-Net with MC3-18 as visual encoder.

    Args:
        config: sizes.
        pretrained: start the visual encoder from torchvision's Kinetics-400 weights.
    """
    spec = _crop_spec(config.seconds, "mouth", MOUTH_SIZE, MOUTH_SIZE)
    visual = LipCropEncoder(Mc3Encoder(config.visual_channels, pretrained))
    return _build(config, visual, config.visual_channels[-1], spec)


def build_ynet_g(config: YNetGConfig) -> YNet:
    """Build a Y-Net conditioned on landmarks, with fresh weights."""
    spec = SeparationSpec(*chunk_lengths(config.seconds), landmarks=True)
    return _build(config, StGcnEncoder(config.visual_channels), config.visual_channels[-1], spec)


def build_ynet_v(config: YNetVConfig, visual: VocalistVisualEncoder | None = None) -> YNet:
    """Build a Y-Net with VocaLiST's visual encoder.

    Args:
        config: sizes.
        visual: the visual encoder of a trained VocaLiST, to use instead of a new one.
    """
    spec = _crop_spec(config.seconds, "face", HEIGHT, WIDTH, lower_half=True)
    encoder = visual or VocalistVisualEncoder(config.visual_channels)
    frames = config.window_frames
    tokens = CentreTokens(encoder, frames) if frames else encoder
    return _build(config, tokens, config.visual_channels[-1], spec)


def build_ynet_s(config: YNetSConfig, visual: Wav2LipVisualEncoder | None = None) -> YNet:
    """Build a Y-Net with the lip expert's visual encoder.

    Args:
        config: sizes.
        visual: the visual encoder of a trained lip expert, to use instead of a new one.
    """
    spec = _crop_spec(config.seconds, "face", HEIGHT, WIDTH, lower_half=True)
    encoder = visual or Wav2LipVisualEncoder(config.visual_channels, config.window_frames)
    tokens = FrameTokens(encoder, config.window_frames, unit=True)
    return _build(config, tokens, config.visual_channels[-1], spec)


def build_ynet_dense(config: YNetDenseConfig, mouth: DenseSyncVisualEncoder | None = None) -> YNet:
    """Build a Y-Net with the mouth encoder of dense_sync.

    Args:
        config: sizes.
        mouth: the mouth encoder of a trained dense_sync, to use instead of a new one.
    """
    spec = _crop_spec(config.seconds, "mouth", config.crop_size, config.crop_size)
    encoder = mouth or DenseSyncVisualEncoder(config.dim, config.mouth_channels)
    tokens = FrameTokens(encoder, encoder.receptive_frames)
    return _build(config, tokens, config.dim, spec)


def _build(
    config: YNetMConfig | YNetGConfig | YNetVConfig | YNetSConfig | YNetDenseConfig,
    visual: nn.Module,
    token_dim: int,
    spec: SeparationSpec,
) -> YNet:
    unet = MaskUNet(config.channels)
    film = Film(token_dim, unet.latent_channels)
    return YNet(unet, visual, film, spec, config.sources, config.frozen)


def _crop_spec(
    seconds: int, crop: CropKind, height: int, width: int, lower_half: bool = False
) -> SeparationSpec:
    samples, frames = chunk_lengths(seconds)
    return SeparationSpec(samples, frames, crop, height, width, lower_half)
