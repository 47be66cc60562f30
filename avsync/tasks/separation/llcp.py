"""LLCP: the Looking-to-Listen baseline of A cappella, with VocaLiST's visual encoder, not FaceNet.

Source: Ephrat et al., Looking to Listen at the Cocktail Party: A Speaker-Independent Audio-Visual
Model for Speech Separation (SIGGRAPH 2018); Montesinos, Kadandale and Haro, A cappella (BMVC 2021).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.stft import ComplexStft
from avsync.encoders.looking_to_listen import DilatedFrameEncoder, DilatedSpectrumEncoder
from avsync.encoders.vocalist import HEIGHT, WIDTH, VocalistVisualEncoder
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths
from avsync.tasks.separation.unet import check_sources, mask_network_input


@dataclass(frozen=True)
class LlcpConfig:
    """Sizes of the Looking-to-Listen baseline.

    Args:
        visual_channels: widths of VocaLiST's visual encoder; the last is that of its tokens.
        frame_channels: width of the layers over frames.
        audio_channels: width of the layers over the spectrum.
        lstm: width of each direction of the recurrent layer.
        dim: width of the layers after it.
        seconds: duration of training chunks.
        sources: the mixture is divided by this at the network's input.
        frozen: the visual encoder is not trained.
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
    """Separate the voice of one face with a recurrent layer over the columns of the spectrum.

    The public code's batch norms after that layer have a mean and a variance for each of the 256
    columns, which fixes the length; here they have them for each feature.

    Args:
        visual: crops `(B, 3, T, H, W)` -> tokens `(B, L, D)`.
        frames: tokens `(B, L, D)` -> tokens `(B, L, frame_channels)`.
        audio: spectrum `(B, 2, 256, S)` -> tokens `(B, S, audio.dim)`.
        spec: input spec.
        config: sizes of the remaining layers.
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
        """Set training mode, except for a frozen visual encoder, which stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.visual.eval()
        return self

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map crops of the face `(B, 3, T, H, W)`, RGB in [0, 1], to tokens `(B, L, D)`.

        There are no gradients if the encoder is frozen.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens: Tensor = self.visual(frames)
        return tokens

    def forward(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map a mixture's spectrum `(B, 512, S)` and tokens to the logits of the voice's mask.

        The spectrum is complex, tokens `(B, L, D)` cover the same time, the logits are
        `(B, 2, 256, S)`.
        """
        if tokens.ndim != 3 or tokens.shape[2] != self.token_dim:
            wanted = f"(B, L, {self.token_dim})"
            raise ValueError(f"tokens must be {wanted}, got {tuple(tokens.shape)}")
        audio = self.audio(mask_network_input(self.stft, mixture, self.sources, self.head.weight))
        lips = rearrange(self.frames(tokens.to(audio.dtype)), "b l d -> b d l")
        lips = rearrange(F.interpolate(lips, audio.shape[1], mode="nearest"), "b d s -> b s d")
        both, _ = self.lstm(torch.cat([audio, lips], dim=-1))
        # The two directions are added, not concatenated.
        x = sum(both.chunk(2, dim=-1))
        for layer in self.layers:
            x = layer(x)
        return rearrange(self.head(x), "b s (two f) -> b two f s", two=2)

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map a mixture `(B, N)` at 16384 Hz and tokens `(B, L, D)` to the face's voice `(B, N)`.

        Tokens cover the same time as the mixture.
        """
        spectrum = self.stft(mixture)
        voice = self.stft.mask(self(spectrum, tokens), spectrum)
        return self.stft.inverse(voice, mixture.shape[1])


class DenseBlock(nn.Module):
    """A linear layer on every column, with ReLU, batch norm and dropout."""

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


def build_llcp(config: LlcpConfig, visual: VocalistVisualEncoder | None = None) -> Llcp:
    """Build an LLCP model with fresh weights.

    Args:
        config: sizes.
        visual: the visual encoder of a trained VocaLiST, to use instead of a new one.
    """
    samples, frames = chunk_lengths(config.seconds)
    return Llcp(
        visual=visual or VocalistVisualEncoder(config.visual_channels),
        frames=DilatedFrameEncoder(config.visual_channels[-1], config.frame_channels),
        audio=DilatedSpectrumEncoder(ComplexStft.mask_bins, config.audio_channels),
        spec=SeparationSpec(samples, frames, "face", HEIGHT, WIDTH, lower_half=True),
        config=config,
    )
