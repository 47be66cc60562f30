"""LLCP: the Looking-to-Listen baseline of A cappella, with VocaLiST's eyes in place of FaceNet.

Ephrat et al., Looking to Listen at the Cocktail Party: A Speaker-Independent Audio-Visual Model for
Speech Separation (SIGGRAPH 2018); Montesinos, Kadandale and Haro, A cappella (BMVC 2021).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.stft import ComplexStft
from avsync.encoders.looking_to_listen import DilatedFrameEncoder, DilatedSpectrumEncoder
from avsync.encoders.vocalist import HEIGHT, WIDTH, VocalistVisualEncoder
from avsync.tasks.separation.input_spec import SeparationSpec, chunk
from avsync.tasks.separation.unet import check_sources, heard


@dataclass(frozen=True)
class LlcpConfig:
    """Sizes of the Looking-to-Listen baseline.

    Args:
        visual_channels: widths of VocaLiST's visual encoder; the last is that of its tokens.
        frame_channels: width of the layers over frames.
        audio_channels: width of the layers over the spectrum.
        lstm: width of the recurrent layer, either way.
        dim: width of the layers after it.
        seconds: of the chunk it is trained on.
        sources: the mixture is divided by this before the network sees it.
        frozen: the visual encoder does not learn.
    """

    visual_channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    frame_channels: int = 256
    audio_channels: int = 96
    lstm: int = 400
    dim: int = 600
    seconds: int = 4
    sources: int = 2
    frozen: bool = True


class Llcp(nn.Module):
    """Separates the voice of one face, column by column of the spectrum, with a recurrent layer.

    The public code's batch norms after that layer have a mean and a spread for each of the 256
    columns, which fixes the length; ours have them for each feature.

    Args:
        visual: crops `(B, 3, T, H, W)` -> tokens `(B, L, D)`.
        frames: tokens `(B, L, D)` -> tokens `(B, L, frame_channels)`.
        audio: spectrum `(B, 2, 256, S)` -> tokens `(B, S, audio.dim)`.
        spec: what it eats.
        config: the sizes of the rest.
    """

    def __init__(
        self,
        visual: nn.Module,
        frames: DilatedFrameEncoder,
        audio: DilatedSpectrumEncoder,
        spec: SeparationSpec,
        config: LlcpConfig,
    ) -> None:
        super().__init__()
        check_sources(config.sources)
        self.visual, self.frames, self.audio, self.spec = visual, frames, audio, spec
        self.sources, self.frozen = config.sources, config.frozen
        self.token_dim = config.visual_channels[-1]
        self.stft = ComplexStft()
        width = audio.dim + config.frame_channels
        self.lstm = nn.LSTM(width, config.lstm, batch_first=True, bidirectional=True)
        widths = (config.lstm, config.dim, config.dim)
        self.layers = nn.ModuleList(DenseBlock(a, config.dim) for a in widths)
        self.head = nn.Linear(config.dim, 2 * audio.bins)
        if self.frozen:
            visual.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Llcp":
        """As of any module, but a frozen encoder stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.visual.eval()
        return self

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map the face's crops `(B, 3, T, H, W)`, RGB in [0, 1], to tokens `(B, L, D)`; without
        gradients where frozen.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens: Tensor = self.visual(frames)
        return tokens

    def forward(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map the complex spectrum of a mixture `(B, 512, S)` and tokens `(B, L, D)` of the same
        time to the logits `(B, 2, 256, S)` of the mask that leaves the voice.
        """
        if tokens.ndim != 3 or tokens.shape[2] != self.token_dim:
            wanted = f"(B, L, {self.token_dim})"
            raise ValueError(f"tokens must be {wanted}, got {tuple(tokens.shape)}")
        audio = self.audio(heard(self.stft, mixture, self.sources, self.head.weight))
        lips = rearrange(self.frames(tokens.to(audio.dtype)), "b l d -> b d l")
        lips = rearrange(F.interpolate(lips, audio.shape[1], mode="nearest"), "b d s -> b s d")
        both, _ = self.lstm(torch.cat([audio, lips], dim=-1))
        # Forwards and backwards are added up, not put side by side.
        x = sum(both.chunk(2, dim=-1))
        for layer in self.layers:
            x = layer(x)
        return rearrange(self.head(x), "b s (two f) -> b two f s", two=2)

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map a mixture `(B, N)` at 16384 Hz and tokens `(B, L, D)` of the same time to the voice
        of that face `(B, N)`.
        """
        spectrum = self.stft(mixture)
        voice = self.stft.mask(self(spectrum, tokens), spectrum)
        return self.stft.inverse(voice, mixture.shape[1])


class DenseBlock(nn.Module):
    """A linear layer on every column, its features brought to one scale."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim)
        nn.init.xavier_uniform_(self.linear.weight)
        self.norm = nn.BatchNorm1d(out_dim)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, S, in_dim)` to `(B, S, out_dim)`."""
        x = rearrange(F.relu(self.linear(x)), "b s d -> b d s")
        return self.drop(rearrange(self.norm(x), "b d s -> b s d"))


def build(config: LlcpConfig, visual: VocalistVisualEncoder | None = None) -> Llcp:
    """Return the model of that configuration, with the visual encoder of a trained VocaLiST if given."""
    samples, frames = chunk(config.seconds)
    return Llcp(
        visual=visual or VocalistVisualEncoder(config.visual_channels),
        frames=DilatedFrameEncoder(config.visual_channels[-1], config.frame_channels),
        audio=DilatedSpectrumEncoder(ComplexStft.mask_bins, config.audio_channels),
        spec=SeparationSpec(samples, frames, "face", HEIGHT, WIDTH, lower_half=True),
        config=config,
    )
