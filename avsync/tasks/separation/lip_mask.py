"""lip_mask: the voice of one face by a complex mask, told by its lips at the frame rate.

Where it differs from Y-Net it follows later systems (RTFS-Net, ICLR 2024; Dolphin, 2025): a small
lip encoder, frozen; lips and audio are joined at the rate of the frames and finer, not four times
a second; every bin has a mask of its own; and it is trained on the waveform.
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

# Two columns a frame, and bins of 25 Hz, which tell the harmonics of two voices; the last of the
# 321 bins has the mask of the one before. A hop of 10 ms costs twice as much.
N_FFT, HOP_LENGTH = 640, 320
BINS = N_FFT // 2
# Magnitudes are heard to this power: a loud bin tells hardly more than a soft one.
COMPRESSION = 0.3
# Real and imaginary part of a mask lie within this. A half of the mixture is where it begins.
BOUND, FIRST, FIRST_WEIGHTS = 2.0, 0.5, 0.1
EPS = 1e-8


@dataclass(frozen=True)
class LipMaskConfig:
    """Sizes of a lip_mask model.

    Args:
        dim: width of the lips' tokens.
        mouth_channels: widths of the mouth encoder.
        crop_size: height and width of the mouth crop, pixels.
        widths: channels of each level of the U-Net; every level halves the frequencies.
        joined_dim: width where lips and audio are joined.
        dilations: of the convolutions there, in columns of 20 ms.
        seconds: of the chunks it separates; any other length goes as well.
    """

    dim: int = 128
    mouth_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    crop_size: int = 56
    widths: tuple[int, ...] = WIDTHS
    joined_dim: int = 192
    dilations: tuple[int, ...] = DILATIONS
    seconds: int = 4


class LipMask(nn.Module):
    """Separates the voice of one face from all else that audio streams; loudness does not matter to it.

    Args:
        visual: mouth crops `(B, 3, T, H, W)` to tokens `(B, T, D)`; frozen.
        unet: compressed spectrum `(B, 3, 320, S)` to a mask `(B, 2, 320, S)`.
        joined: joins the narrow map of the U-Net with the tokens.
        spec: what it eats.
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
            # A fresh mask is all but a half: at random, the first steps would go into being quiet.
            unet.head.weight.mul_(FIRST_WEIGHTS)
            unet.head.bias.copy_(torch.tensor([BOUND * math.atanh(FIRST / BOUND), 0.0]))
        # As the mouth encoder: fewer copies on CPUs.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> "LipMask":
        """As of any module, but the frozen eyes stay in eval mode."""
        super().train(mode)
        self.visual.eval()
        return self

    @torch.no_grad()
    def encode_video(self, frames: Tensor) -> Tensor:
        """Map mouth crops `(B, 3, T, H, W)`, RGB in [0, 1], to tokens `(B, T, D)` of length 1."""
        tokens: Tensor = self.visual(frames)
        return tokens

    def forward(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map mixtures `(B, N)` at 16 kHz and tokens `(B, V, T, D)` of V faces over the same time
        to their voices `(B, V, N)`. What is heard is worked out once for all faces of a mixture.
        """
        if tokens.ndim != 4 or len(tokens) != len(mixture):
            wanted = f"({len(mixture)}, V, T, D)"
            raise ValueError(f"tokens must be {wanted}, got {tuple(tokens.shape)}")
        if abs(tokens.shape[2] * SAMPLES_PER_FRAME - mixture.shape[1]) >= SAMPLES_PER_FRAME:
            frames = mixture.shape[1] / SAMPLES_PER_FRAME
            raise ValueError(f"tokens must be of {frames:g} frames, got {tokens.shape[2]}")
        faces = tokens.shape[1]
        # Each mixture at a power of 1: how loud a file is says nothing.
        power = mixture.square().mean(-1, keepdim=True).sqrt() + EPS
        spectrum = self.stft(mixture / power)
        levels = self.unet.encode(_compressed(spectrum))
        levels = [repeat(level, "b c f s -> (b v) c f s", v=faces) for level in levels]
        mask = self.unet.decode(self._told(levels[-1], tokens), levels)
        voice = _masked(mask, repeat(spectrum, "b f s -> (b v) f s", v=faces))
        wav = self.stft.inverse(voice, mixture.shape[1])
        return rearrange(wav, "(b v) n -> b v n", v=faces) * power[:, None]

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map a mixture `(B, N)` at 16 kHz and tokens `(B, T, D)` of the same time to the voice of
        that face `(B, N)`.
        """
        voices: Tensor = self(mixture, tokens[:, None])
        return voices[:, 0]

    def _told(self, narrow: Tensor, tokens: Tensor) -> Tensor:
        """Return the narrow map `(B V, C, F, S)` with what the lips say of it added."""
        flat = rearrange(narrow, "b c f s -> b (c f) s")
        lips = rearrange(tokens.to(flat.dtype), "b v t d -> (b v) d t")
        joined = rearrange(self.joined(flat, lips), "b (c f) s -> b c f s", f=narrow.shape[2])
        return narrow + joined


def build(config: LipMaskConfig, mouth: DenseSyncVisualEncoder | None = None) -> LipMask:
    """Return the model of that configuration, with the mouth encoder of a trained dense_sync if given."""
    encoder = mouth or DenseSyncVisualEncoder(config.dim, config.mouth_channels)
    # Of length 1: dense_sync compares tokens by their angle alone, so their length was never
    # taught to mean the same in one face and in another.
    visual = FrameTokens(encoder, encoder.receptive_frames, unit=True)
    unet = FrequencyUNet(3, 2, config.widths)
    narrow = config.widths[-1] * (BINS >> len(config.widths))
    per_frame = exact_div(SAMPLES_PER_FRAME, HOP_LENGTH)
    joined = TemporalConvFusion(narrow, config.dim, per_frame, config.joined_dim, config.dilations)
    spec = spec_of(config.seconds, config.crop_size)
    return LipMask(visual, unet, joined, spec)


def spec_of(seconds: int, crop_size: int = LipMaskConfig.crop_size) -> SeparationSpec:
    """Return what a lip_mask model eats, in chunks of so many seconds."""
    if seconds < 1:
        raise ValueError(f"seconds must be at least 1, got {seconds}")
    samples, frames = seconds * SAMPLE_RATE, seconds * FPS
    return SeparationSpec(samples, frames, "mouth", crop_size, crop_size, sample_rate=SAMPLE_RATE)


def _compressed(spectrum: Tensor) -> Tensor:
    """Real part, imaginary part and magnitude `(B, 3, 320, S)`, magnitudes to the power 0.3."""
    parts = torch.view_as_real(spectrum[:, :BINS])
    magnitude = (parts.square().sum(-1, keepdim=True) + EPS).sqrt()
    small = magnitude**COMPRESSION
    heard = torch.cat([parts / magnitude * small, small], dim=-1)
    return rearrange(heard, "b f s c -> b c f s").contiguous(memory_format=torch.channels_last)


def _masked(mask: Tensor, spectrum: Tensor) -> Tensor:
    """Return the spectrum `(B, 321, S)` under a mask `(B, 2, 320, S)` that has still to be bounded."""
    bounded = BOUND * torch.tanh(mask.float() / BOUND)
    whole = F.pad(bounded, (0, 0, 0, 1), mode="replicate")
    return torch.complex(*whole.unbind(1)) * spectrum
