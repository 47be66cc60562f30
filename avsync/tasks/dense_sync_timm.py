"""dense_sync with other eyes: any 2-D network of timm in place of its mouth encoder."""

from dataclasses import dataclass

from avsync.encoders.frame_backbone import FrameBackboneEncoder
from avsync.encoders.mel import MelEncoder
from avsync.signal import LogMel
from avsync.tasks.dense_sync import DenseSync


@dataclass(frozen=True)
class TimmDenseSyncConfig:
    """Sizes of a dense_sync that looks at each picture with a network of timm.

    Args:
        backbone: name of an image model in timm.
        dim: width of the tokens.
        mel_channels: widths of the mel encoder.
        n_mels: mel bands.
        crop_size: height and width of the mouth crop, pixels.
        zero_ms: offset of the corpus the weights were trained on, see `DenseSyncConfig`.
    """

    backbone: str = "resnet18"
    dim: int = 128
    mel_channels: tuple[int, int, int, int, int] = (32, 64, 96, 128, 256)
    n_mels: int = 64
    crop_size: int = 56
    zero_ms: float = 0.0


def build(config: TimmDenseSyncConfig, pretrained: bool = False) -> DenseSync:
    """The model of that configuration; `pretrained` begins with the weights that timm names."""
    size = (config.crop_size, config.crop_size)
    return DenseSync(
        mouth=FrameBackboneEncoder(
            config.dim, config.backbone, size, padded=False, pretrained=pretrained
        ),
        front_end=LogMel(n_mels=config.n_mels),
        mel=MelEncoder(config.dim, config.n_mels, config.mel_channels),
        dim=config.dim,
        crop_size=config.crop_size,
        zero_ms=config.zero_ms,
    )
