"""lip_mask, the default separator: complex masks conditioned on lip movements at the frame rate.

It differs from Y-Net as later systems do (RTFS-Net, ICLR 2024; Dolphin, 2025): a small, frozen lip
encoder; fusion of lips and audio at twice the frame rate, not four times a second; a mask for every
bin; and training on the waveform.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from avsync.audio.stft import ComplexStft
from avsync.encoders.dense_sync import DenseSyncVisualEncoder
from avsync.encoders.frame_tokens import FrameTokens
from avsync.fusion.temporal_conv import DILATIONS, TemporalConvFusion
from avsync.tasks.separation.frequency_unet import WIDTHS, FrequencyUNet
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, exact_div

# Two columns per video frame, and bins of 25 Hz, which resolve the harmonics of two voices. The
# last of the 321 bins takes the mask of the one before. A hop of 10 ms would cost twice as much.
N_FFT, HOP_LENGTH = 640, 320
BINS = N_FFT // 2
# Exponent of magnitudes in the network's input: loud and soft bins become comparable.
COMPRESSION = 0.3
# Bound of a mask's real and imaginary part.
MASK_BOUND = 2.0
# Masks start close to half of the mixture: their bias gives this, their weights are scaled down.
INITIAL_MASK, INITIAL_WEIGHT_SCALE = 0.5, 0.1
EPS = 1e-8


@dataclass(frozen=True)
class LipMaskConfig:
    """Sizes of a lip_mask model.

    Args:
        dim: width of the lip tokens.
        mouth_channels: widths of the mouth encoder.
        crop_size: height and width of the mouth crop, pixels.
        widths: channels of each level of the U-Net; every level halves the frequencies.
        joined_dim: width of the fusion of lips and audio.
        dilations: of its temporal convolutions, in columns of 20 ms.
        seconds: duration of training chunks; the model separates any duration.
    """

    dim: int = 128
    mouth_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    crop_size: int = 56
    widths: tuple[int, ...] = WIDTHS
    joined_dim: int = 192
    dilations: tuple[int, ...] = DILATIONS
    seconds: int = 4


class LipMask(nn.Module):
    """Separate the voice of one face from all other audio; the mixture's level does not matter.

    Args:
        visual: mouth crops `(B, 3, T, H, W)` to tokens `(B, T, D)`; frozen.
        unet: compressed spectrum `(B, 3, 320, S)` to a mask `(B, 2, 320, S)`.
        joined: temporal convolutional network that fuses the U-Net's bottleneck with the tokens.
        spec: input spec.
    """

    def __init__(
        self,
        visual: nn.Module,
        unet: FrequencyUNet,
        joined: TemporalConvFusion,
        spec: SeparationSpec,
    ) -> None:
        super().__init__()
        self.visual, self.unet, self.joined, self.spec = visual, unet, joined, spec
        self.stft = ComplexStft(N_FFT, HOP_LENGTH)
        visual.requires_grad_(False).eval()
        with torch.no_grad():
            assert unet.head.bias is not None
            # With random masks, the first training steps would only lower the output's level.
            unet.head.weight.mul_(INITIAL_WEIGHT_SCALE)
            bias = MASK_BOUND * math.atanh(INITIAL_MASK / MASK_BOUND)
            unet.head.bias.copy_(torch.tensor([bias, 0.0]))
        # The memory layout of the mouth encoder: fewer copies on CPUs.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> "LipMask":
        """Set training mode, except for the frozen visual encoder, which stays in eval mode."""
        super().train(mode)
        self.visual.eval()
        return self

    @torch.no_grad()
    def encode_video(self, frames: Tensor) -> Tensor:
        """Map mouth crops `(B, 3, T, H, W)`, RGB in [0, 1], to unit tokens `(B, T, D)`."""
        tokens: Tensor = self.visual(frames)
        return tokens

    def forward(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map mixtures `(B, N)` and tokens `(B, V, T, D)` of V faces to their voices `(B, V, N)`.

        Audio is at 16 kHz; tokens cover the same time. The U-Net's encoder runs once for all faces
        of a mixture.
        """
        if tokens.ndim != 4 or len(tokens) != len(mixture):
            wanted = f"({len(mixture)}, V, T, D)"
            raise ValueError(f"tokens must be {wanted}, got {tuple(tokens.shape)}")
        if abs(tokens.shape[2] * SAMPLES_PER_FRAME - mixture.shape[1]) >= SAMPLES_PER_FRAME:
            frames = mixture.shape[1] / SAMPLES_PER_FRAME
            raise ValueError(f"tokens must be of {frames:g} frames, got {tokens.shape[2]}")
        faces = tokens.shape[1]
        # Mixtures are scaled to a power of 1.
        power = mixture.square().mean(-1, keepdim=True).sqrt() + EPS
        spectrum = self.stft(mixture / power)
        levels = self.unet.encode(_compress(spectrum))
        levels = [repeat(level, "b c f s -> (b v) c f s", v=faces) for level in levels]
        mask = self.unet.decode(self._fuse(levels[-1], tokens), levels)
        voice = _apply_mask(mask, repeat(spectrum, "b f s -> (b v) f s", v=faces))
        wav = self.stft.inverse(voice, mixture.shape[1])
        return rearrange(wav, "(b v) n -> b v n", v=faces) * power[:, None]

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map mixtures `(B, N)` at 16 kHz and tokens `(B, T, D)` to the face's voice `(B, N)`.

        Tokens cover the same time as the mixture.
        """
        voices: Tensor = self(mixture, tokens[:, None])
        return voices[:, 0]

    def _fuse(self, bottleneck: Tensor, tokens: Tensor) -> Tensor:
        """Add what the lips contribute to the bottleneck `(B V, C, F, S)`."""
        flat = rearrange(bottleneck, "b c f s -> b (c f) s")
        lips = rearrange(tokens.to(flat.dtype), "b v t d -> (b v) d t")
        fused = rearrange(self.joined(flat, lips), "b (c f) s -> b c f s", f=bottleneck.shape[2])
        return bottleneck + fused


def build_lip_mask(config: LipMaskConfig, mouth: DenseSyncVisualEncoder | None = None) -> LipMask:
    """Build a lip_mask model with fresh weights.

    Args:
        config: sizes.
        mouth: the mouth encoder of a trained dense_sync, to use instead of a new one.
    """
    encoder = mouth or DenseSyncVisualEncoder(config.dim, config.mouth_channels)
    # Unit tokens: dense_sync compares tokens by their angle alone, so their length was not trained
    # to be comparable between faces.
    visual = FrameTokens(encoder, encoder.receptive_frames, unit=True)
    unet = FrequencyUNet(3, 2, config.widths)
    bottleneck = config.widths[-1] * (BINS >> len(config.widths))
    per_frame = exact_div(SAMPLES_PER_FRAME, HOP_LENGTH)
    joined = TemporalConvFusion(
        bottleneck, config.dim, per_frame, config.joined_dim, config.dilations
    )
    spec = lip_mask_spec(config.seconds, config.crop_size)
    return LipMask(visual, unet, joined, spec)


def lip_mask_spec(seconds: int, crop_size: int = LipMaskConfig.crop_size) -> SeparationSpec:
    """Return the input spec of a lip_mask model for training chunks of a duration in seconds."""
    if seconds < 1:
        raise ValueError(f"seconds must be at least 1, got {seconds}")
    samples, frames = seconds * SAMPLE_RATE, seconds * FPS
    return SeparationSpec(samples, frames, "mouth", crop_size, crop_size, sample_rate=SAMPLE_RATE)


def _compress(spectrum: Tensor) -> Tensor:
    """Return real part, imaginary part and magnitude `(B, 3, 320, S)`, compressed."""
    parts = torch.view_as_real(spectrum[:, :BINS])
    magnitude = (parts.square().sum(-1, keepdim=True) + EPS).sqrt()
    small = magnitude**COMPRESSION
    features = torch.cat([parts / magnitude * small, small], dim=-1)
    return rearrange(features, "b f s c -> b c f s").contiguous(memory_format=torch.channels_last)


def _apply_mask(mask: Tensor, spectrum: Tensor) -> Tensor:
    """Bound a mask `(B, 2, 320, S)` and multiply the spectrum `(B, 321, S)` by it."""
    bounded = MASK_BOUND * torch.tanh(mask.float() / MASK_BOUND)
    whole = F.pad(bounded, (0, 0, 0, 1), mode="replicate")
    return torch.complex(*whole.unbind(1)) * spectrum
