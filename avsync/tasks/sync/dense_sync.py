"""dense_sync, the default sync model: both streams encoded once, compared by a dot product.

Every window shares the work of its neighbours, because the encoders' temporal convolutions are
valid (unpadded) ones. Audio tokens have length one; the length of a video token is learnt, a weight
in nats, so that scores add up over windows as log-likelihoods do.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.audio.features import LogMel
from avsync.encoders.dense_sync import DenseSyncAudioEncoder, DenseSyncVisualEncoder
from avsync.encoders.timm_backbone import TimmFrameEncoder
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE


@dataclass(frozen=True)
class DenseSyncConfig:
    """Sizes of a dense_sync model, and where its zero lies.

    Args:
        dim: width of the tokens.
        mouth_channels: widths of the mouth encoder.
        mel_channels: widths of the mel encoder.
        n_mels: mel bands.
        crop_size: height and width of the mouth crop, pixels.
        zero_ms: offset of the corpus the weights were trained on (positive = its audio leads),
            taken off every answer: `encode_audio` looks this much later, so that a clip in sync
            scores highest at offset 0.
    """

    dim: int = 128
    mouth_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    mel_channels: tuple[int, int, int, int, int] = (32, 64, 96, 128, 256)
    n_mels: int = 64
    crop_size: int = 56
    zero_ms: float = 0.0


class VideoEncoder(Protocol):
    """What dense_sync asks of its mouth encoder; any whose tokens do not know the cut will do."""

    receptive_frames: int

    def __call__(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to tokens `(B, T - receptive_frames + 1,
        D)`.
        """

    def encode_grey(self, grey: Tensor) -> Tensor:
        """Map grey frames `(B, T, H, W)`, as training draws them, to such tokens."""


class DenseSync(nn.Module):
    """Scores how well windows of a mouth and of a voice belong together in time.

    Args:
        mouth: video `(B, 3, T, H, W)` -> tokens `(B, T - 4, D)`.
        front_end: waveform `(B, N)` -> `(B, M, S)`.
        mel: `(B, M, S)` -> tokens `(B, S - 17, D)`.
        dim: width of the tokens.
        crop_size: height and width of the mouth crop, pixels.
        zero_ms: see `DenseSyncConfig`.
    """

    # The most a single window may weigh, in nats between a perfect match and none.
    max_weight = 24.0

    def __init__(
        self,
        mouth: VideoEncoder,
        front_end: LogMel,
        mel: DenseSyncAudioEncoder,
        dim: int = 128,
        crop_size: int = 56,
        zero_ms: float = 0.0,
    ) -> None:
        super().__init__()
        self.mouth, self.front_end, self.mel = mouth, front_end, mel
        self.weight = nn.Linear(dim, 1)
        nn.init.zeros_(self.weight.weight)
        nn.init.zeros_(self.weight.bias)
        self.zero_s = zero_ms / 1000
        # Twice as fast on CPUs, see stack_frames.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.spec = ClipSpec(
            crop="mouth",
            height=crop_size,
            width=crop_size,
            window_frames=mouth.receptive_frames,
            audio_from_s=self.zero_s,
            audio_until_s=self.zero_s + self._audio_window_s(),
        )

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to entries `(B, T - 4, D)`, one per window
        start.
        """
        return self.weigh(self.mouth(frames))

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz and window starts `(S,)` in seconds to entries `(B, S,
        D)`.

        Starts are rounded to the hop (10 ms). ValueError where a window reaches outside the
        waveform.
        """
        hop_s = self.front_end.hop_length / SAMPLE_RATE
        columns = ((starts_s + self.zero_s) / hop_s).round().long()
        tokens = self.mel(self.front_end(wav))
        if columns.min() < 0 or columns.max() >= tokens.shape[1]:
            spec, length_s = self.spec, wav.shape[1] / SAMPLE_RATE
            raise ValueError(
                "starts_s must leave each window's audio, "
                f"{spec.audio_from_s:+.3f} to {spec.audio_until_s:+.3f} s around its start, "
                f"inside wav of {length_s:.3f} s, got {starts_s.min():.3f} to {starts_s.max():.3f}"
            )
        return F.normalize(tokens[:, columns], dim=-1)

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map paired entries `(P, D)` and `(P, D)` to scores `(P,)`, higher = better in sync."""
        return (video * audio).sum(-1)

    def weigh(self, tokens: Tensor) -> Tensor:
        """Give tokens `(..., D)` a learnt length in (0, max_weight)."""
        weight = self.max_weight * torch.sigmoid(self.weight(tokens))
        return weight * F.normalize(tokens, dim=-1)

    def _audio_window_s(self) -> float:
        columns = self.mel.receptive_columns
        samples = (columns - 1) * self.front_end.hop_length + self.front_end.n_fft
        return samples / SAMPLE_RATE


def build(config: DenseSyncConfig) -> DenseSync:
    """Return the model of that configuration, with fresh weights."""
    return DenseSync(
        mouth=DenseSyncVisualEncoder(config.dim, config.mouth_channels),
        front_end=LogMel(n_mels=config.n_mels),
        mel=DenseSyncAudioEncoder(config.dim, config.n_mels, config.mel_channels),
        dim=config.dim,
        crop_size=config.crop_size,
        zero_ms=config.zero_ms,
    )


@dataclass(frozen=True)
class TimmDenseSyncConfig:
    """Sizes of a dense_sync that looks at each frame with a network of timm.

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


def build_timm(config: TimmDenseSyncConfig, pretrained: bool = False) -> DenseSync:
    """Return the model of that configuration; `pretrained` begins with the weights that timm names."""
    size = (config.crop_size, config.crop_size)
    return DenseSync(
        mouth=TimmFrameEncoder(
            config.dim, config.backbone, size, padded=False, pretrained=pretrained
        ),
        front_end=LogMel(n_mels=config.n_mels),
        mel=DenseSyncAudioEncoder(config.dim, config.n_mels, config.mel_channels),
        dim=config.dim,
        crop_size=config.crop_size,
        zero_ms=config.zero_ms,
    )
