"""dense_sync, the default sync model: both streams are encoded once, and dot products compare them.

Neighbouring windows share their computation, because the temporal convolutions of the encoders are
valid (unpadded) ones. Audio tokens have unit length; the length of a video token is a learnt weight
in nats, so that scores add up over windows as log-likelihoods do.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.audio.features import LogMel
from avsync.encoders.dense_sync import DenseSyncAudioEncoder, DenseSyncVisualEncoder
from avsync.encoders.pretrained.timm_backbone import TimmFrameEncoder
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLE_RATE


@dataclass(frozen=True)
class DenseSyncConfig:
    """Sizes of a dense_sync model, and its zero offset.

    Args:
        dim: width of the tokens.
        mouth_channels: widths of the mouth encoder.
        mel_channels: widths of the mel encoder.
        n_mels: mel bands.
        crop_size: height and width of the mouth crop, pixels.
        zero_ms: offset of the corpus the weights were trained on (positive = its audio leads),
            subtracted from every result: `encode_audio` reads audio this much later, so that a clip
            in sync scores highest at offset 0.
    """

    dim: int = 128
    mouth_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    mel_channels: tuple[int, int, int, int, int] = (32, 64, 96, 128, 256)
    n_mels: int = 64
    crop_size: int = 56
    zero_ms: float = 0.0


class UnpaddedVisualEncoder(Protocol):
    """Visual encoder that dense_sync accepts: without padding over time.

    Tokens must not depend on where a clip was cut.
    """

    receptive_frames: int

    def __call__(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` to tokens `(B, T - receptive_frames + 1, D)`."""

    def encode_grey(self, grey: Tensor) -> Tensor:
        """Map grey frames `(B, T, H, W)`, as in training, to tokens of the same shape."""


class DenseSync(nn.Module):
    """Score how well windows of a mouth and of audio match in time.

    Args:
        mouth: video `(B, 3, T, H, W)` -> tokens `(B, T - 4, D)`.
        front_end: waveform `(B, N)` -> `(B, M, S)`.
        mel: `(B, M, S)` -> tokens `(B, S - 17, D)`.
        dim: width of the tokens.
        crop_size: height and width of the mouth crop, pixels.
        zero_ms: see `DenseSyncConfig`.
    """

    # Upper bound of the weight of a window, in nats between a perfect match and none.
    max_weight = 24.0

    def __init__(
        self,
        mouth: UnpaddedVisualEncoder,
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
        # Twice as fast on CPUs, see `stack_frames`.
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
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to embeddings `(B, T - 4, D)`.

        There is one embedding for each window start.
        """
        return self.weigh(self.mouth(frames))

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Encode the audio of windows.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.
            starts_s: window starts `(S,)` in seconds; rounded to the hop (10 ms).

        Returns:
            Unit embeddings `(B, S, D)`.

        Raises:
            ValueError: a window reaches outside the waveform.
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
        """Map embeddings `(..., D)` whose leading axes broadcast to scores `(...)`."""
        return (video * audio).sum(-1)

    def weigh(self, tokens: Tensor) -> Tensor:
        """Scale tokens `(..., D)` to a learnt length in (0, max_weight)."""
        weight = self.max_weight * torch.sigmoid(self.weight(tokens))
        return weight * F.normalize(tokens, dim=-1)

    def _audio_window_s(self) -> float:
        columns = self.mel.receptive_columns
        samples = (columns - 1) * self.front_end.hop_length + self.front_end.n_fft
        return samples / SAMPLE_RATE


def build_dense_sync(
    config: DenseSyncConfig, mouth: UnpaddedVisualEncoder | None = None
) -> DenseSync:
    """Build a dense_sync model with fresh weights.

    Args:
        config: sizes.
        mouth: visual encoder to use instead of a new one; its tokens have width `config.dim`.
    """
    return DenseSync(
        mouth=mouth or DenseSyncVisualEncoder(config.dim, config.mouth_channels),
        front_end=LogMel(n_mels=config.n_mels),
        mel=DenseSyncAudioEncoder(config.dim, config.n_mels, config.mel_channels),
        dim=config.dim,
        crop_size=config.crop_size,
        zero_ms=config.zero_ms,
    )


@dataclass(frozen=True)
class TimmDenseSyncConfig:
    """Sizes of a dense_sync model with an image model of timm as visual encoder.

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


def build_timm_dense_sync(config: TimmDenseSyncConfig, pretrained: bool = False) -> DenseSync:
    """Build a dense_sync model with an image model of timm as visual encoder.

    Args:
        config: sizes.
        pretrained: start the visual encoder from the weights that timm names.
    """
    size = (config.crop_size, config.crop_size)
    mouth = TimmFrameEncoder(config.dim, config.backbone, size, padded=False, pretrained=pretrained)
    sizes = DenseSyncConfig(
        dim=config.dim,
        mel_channels=config.mel_channels,
        n_mels=config.n_mels,
        crop_size=config.crop_size,
        zero_ms=config.zero_ms,
    )
    return build_dense_sync(sizes, mouth)
