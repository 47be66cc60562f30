"""The audio-only U-Net: it extracts a voice from a mixture without video.

Of two voices it cannot know which one is wanted.

Source: the baseline of Montesinos, Kadandale and Haro, A cappella (BMVC 2021).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from avsync.audio.stft import ComplexStft
from avsync.tasks.separation.input_spec import SeparationSpec, chunk_lengths
from avsync.tasks.separation.mask_unet import PUBLISHED, Channels, MaskUNet


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of an audio-only U-Net.

    Args:
        channels: widths of the encoder's blocks.
        seconds: duration of training chunks.
        sources: the mixture is divided by this at the network's input: 2 where training mixed a
            voice with its accompaniment, 3 where it added a second voice.
    """

    channels: Channels = PUBLISHED
    seconds: int = 4
    sources: int = 2


class UNet(nn.Module):
    """Separate the voice of a mixture from the rest by the audio alone.

    Args:
        unet: spectrum `(B, 2, 256, S)` -> logits of a mask of that shape.
        spec: input spec.
        sources: see `UNetConfig`.
    """

    def __init__(self, unet: MaskUNet, spec: SeparationSpec, sources: int = 2) -> None:
        super().__init__()
        check_sources(sources)
        self.unet, self.spec, self.sources = unet, spec, sources
        self.stft = ComplexStft()

    def forward(self, mixture: Tensor, tokens: None = None) -> Tensor:
        """Map a mixture's complex spectrum `(B, 512, S)` to the logits `(B, 2, 256, S)` of a mask.

        S is a multiple of 16; there are no tokens.
        """
        return self.unet(
            mask_network_input(self.stft, mixture, self.sources, self.unet.head.weight)
        )

    def separate(self, mixture: Tensor, tokens: None = None) -> Tensor:
        """Map a mixture `(B, N)` at 16384 Hz to its voice `(B, N)`.

        1 + N // 256 must be a multiple of 16.
        """
        spectrum = self.stft(mixture)
        voice = self.stft.mask(self(spectrum), spectrum)
        return self.stft.inverse(voice, mixture.shape[1])


def build_unet(config: UNetConfig) -> UNet:
    """Build an audio-only U-Net with fresh weights."""
    spec = SeparationSpec(*chunk_lengths(config.seconds))
    return UNet(MaskUNet(config.channels), spec, config.sources)


def mask_network_input(stft: ComplexStft, mixture: Tensor, sources: int, like: Tensor) -> Tensor:
    """Map a mixture's spectrum `(B, 512, S)` to the input of a mask network `(B, 2, 256, S)`.

    Args:
        stft: the transform that made the spectrum.
        mixture: complex spectrum.
        sources: number that the spectrum is divided by.
        like: tensor whose dtype the input gets.
    """
    if mixture.ndim != 3 or mixture.shape[1] != stft.bins or not mixture.is_complex():
        got = f"{tuple(mixture.shape)}, {mixture.dtype}"
        raise ValueError(f"mixture must be a complex spectrum (B, {stft.bins}, S), got {got}")
    return stft.as_channels(stft.even_bins(mixture) / sources).to(like.dtype)


def check_sources(sources: int) -> None:
    """Check the number of sources that a mixture is divided by."""
    if sources < 1:
        raise ValueError(f"sources must be at least 1, got {sources}")
