"""Y-Net: the U-Net that is told by a face whose voice is meant.

Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC 2021). With
VocaLiST's visual encoder, frozen, it is Y-Net-mr-V of Kadandale, Montesinos and Haro, VocaLiST
(Interspeech 2022). The variants are in `ynet_variants.py`.
"""

import torch
from torch import Tensor, nn

from avsync.audio.stft import ComplexStft
from avsync.fusion.film import Film
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.tasks.separation.mask_unet import Encoded, MaskUNet
from avsync.tasks.separation.unet import check_sources, heard


class YNet(nn.Module):
    """Separates the voice of one face from all else that audio streams.

    Args:
        unet: spectrum `(B, 2, 256, S)` -> logits of a mask of that shape.
        visual: crops `(B, 3, T, H, W)`, or landmarks, to tokens `(B, L, D)`: any encoder of avsync.
        video: conditions the latent map of the U-Net on the tokens.
        spec: what it eats.
        sources: the mixture is divided by this before the network sees it: 2 where one voice and
            its accompaniment were mixed in training, 3 where a second voice was.
        frozen: the visual encoder does not learn: it stays in eval mode, without gradients.
    """

    def __init__(
        self,
        unet: MaskUNet,
        visual: nn.Module,
        film: Film,
        spec: SeparationSpec,
        sources: int = 2,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        check_sources(sources)
        self.unet, self.visual, self.film = unet, visual, film
        self.spec, self.sources, self.frozen = spec, sources, frozen
        self.stft = ComplexStft()
        if frozen:
            visual.requires_grad_(False).eval()

    @property
    def token_dim(self) -> int:
        """Width of the visual tokens."""
        return self.film.scale.in_features

    def train(self, mode: bool = True) -> "YNet":
        """As of any module, but a frozen encoder stays in eval mode: its batch norms must not
        drift.
        """
        super().train(mode)
        if self.frozen:
            self.visual.eval()
        return self

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map the face's crops `(B, 3, T, H, W)`, RGB in [0, 1], or its landmarks `(B, 2, T, 68)`
        where `spec.landmarks`, to tokens `(B, L, D)`; without gradients where frozen.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens: Tensor = self.visual(frames)
        return tokens

    def forward(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map the complex spectrum of a mixture `(B, 512, S)`, S a multiple of 16, and tokens
        `(B, L, D)` of the same time to the logits `(B, 2, 256, S)` of the mask that leaves the
        voice.
        """
        x = heard(self.stft, mixture, self.sources, self.unet.head.weight)
        latent, skips = self.unet.encode(x)
        return self.unet.decode(Encoded(self.film(latent, tokens), skips))

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map a mixture `(B, N)` at 16384 Hz and tokens `(B, L, D)` of the same time to the voice
        of that face `(B, N)`; 1 + N // 256 is a multiple of 16.
        """
        spectrum = self.stft(mixture)
        voice = self.stft.mask(self(spectrum, tokens), spectrum)
        return self.stft.inverse(voice, mixture.shape[1])
