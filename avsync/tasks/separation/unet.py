"""The audio-only U-Net: a voice out of a mixture, without a look at any face.

The baseline of Montesinos, Kadandale and Haro, A cappella (BMVC 2021). Of two voices it cannot know
which one is meant.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from avsync.audio.stft import ComplexStft
from avsync.tasks.separation.input_spec import SeparationSpec, chunk
from avsync.tasks.separation.mask_unet import PUBLISHED, Channels, MaskUNet


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of an audio-only U-Net.

    Args:
        channels: widths of the encoder's blocks.
        seconds: of the chunk it is trained on.
        sources: the mixture is divided by this before the network sees it: 2 where one voice and
            its accompaniment were mixed in training, 3 where a second voice was.
    """

    channels: Channels = PUBLISHED
    seconds: int = 4
    sources: int = 2


class UNet(nn.Module):
    """Separates the voice of a mixture from the rest by its audio alone.

    Args:
        unet: spectrum `(B, 2, 256, S)` -> logits of a mask of that shape.
        spec: what it eats.
        sources: see `UNetConfig`.
    """

    def __init__(self, unet: MaskUNet, spec: SeparationSpec, sources: int = 2) -> None:
        super().__init__()
        check_sources(sources)
        self.unet, self.spec, self.sources = unet, spec, sources
        self.stft = ComplexStft()

    def forward(self, mixture: Tensor, tokens: None = None) -> Tensor:
        """Map the complex spectrum of a mixture `(B, 512, S)`, S a multiple of 16, to the logits
        `(B, 2, 256, S)` of the mask that leaves the voice; there are no tokens.
        """
        return self.unet(heard(self.stft, mixture, self.sources, self.unet.head.weight))

    def separate(self, mixture: Tensor, tokens: None = None) -> Tensor:
        """Map a mixture `(B, N)` at 16384 Hz to its voice `(B, N)`; 1 + N // 256 is a multiple of
        16.
        """
        spectrum = self.stft(mixture)
        voice = self.stft.mask(self(spectrum), spectrum)
        return self.stft.inverse(voice, mixture.shape[1])


def build(config: UNetConfig) -> UNet:
    """Return the model of that configuration, with fresh weights."""
    spec = SeparationSpec(*chunk(config.seconds))
    return UNet(MaskUNet(config.channels), spec, config.sources)


def heard(stft: ComplexStft, mixture: Tensor, sources: int, like: Tensor) -> Tensor:
    """Return what a mask network is given of a mixture's spectrum `(B, 512, S)`: `(B, 2, 256, S)`."""
    if mixture.ndim != 3 or mixture.shape[1] != stft.bins or not mixture.is_complex():
        got = f"{tuple(mixture.shape)}, {mixture.dtype}"
        raise ValueError(f"mixture must be a complex spectrum (B, {stft.bins}, S), got {got}")
    return stft.as_channels(stft.even_bins(mixture) / sources).to(like.dtype)


def check_sources(sources: int) -> None:
    """ValueError unless a mixture can be of so many sources."""
    if sources < 1:
        raise ValueError(f"sources must be at least 1, got {sources}")
