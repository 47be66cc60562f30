"""Y-Net: the U-Net conditioned on the face whose voice is wanted.

The variants are in `ynet_variants.py`.

Source: Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC
2021). With VocaLiST's visual encoder, frozen, it is Y-Net-mr-V of Kadandale, Montesinos and Haro,
VocaLiST (Interspeech 2022).
"""

import torch
from torch import Tensor, nn

from avsync.audio.stft import ComplexStft
from avsync.fusion.film import Film
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.tasks.separation.mask_unet import Encoded, MaskUNet
from avsync.tasks.separation.unet import check_sources, mask_network_input


class YNet(nn.Module):
    """Separate the voice of one face from all other audio.

    Args:
        unet: spectrum `(B, 2, 256, S)` to the logits of a mask of that shape.
        visual: crops `(B, 3, T, H, W)`, or landmarks, to tokens `(B, L, D)`: any visual encoder.
        film: conditions the latent map of the U-Net on the tokens (FiLM).
        spec: input spec.
        sources: the mixture is divided by this at the network's input: 2 where training mixed a
            voice with its accompaniment, 3 where it added a second voice.
        frozen: the visual encoder is not trained: it stays in eval mode, without gradients.
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
        """Set training mode, except for a frozen visual encoder, which stays in eval mode.

        Its batch norms must not drift.
        """
        super().train(mode)
        if self.frozen:
            self.visual.eval()
        return self

    def encode_video(self, frames: Tensor) -> Tensor:
        """Map crops of the face `(B, 3, T, H, W)`, RGB in [0, 1], to tokens `(B, L, D)`.

        If `spec.landmarks`, the input is landmarks `(B, 2, T, 68)`. There are no gradients if the
        encoder is frozen.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens: Tensor = self.visual(frames)
        return tokens

    def forward(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map a mixture's spectrum `(B, 512, S)` and tokens to the logits of the voice's mask.

        The spectrum is complex with S a multiple of 16, tokens `(B, L, D)` cover the same time, the
        logits are `(B, 2, 256, S)`.
        """
        x = mask_network_input(self.stft, mixture, self.sources, self.unet.head.weight)
        latent, skips = self.unet.encode(x)
        return self.unet.decode(Encoded(self.film(latent, tokens), skips))

    def separate(self, mixture: Tensor, tokens: Tensor) -> Tensor:
        """Map a mixture `(B, N)` at 16384 Hz and tokens `(B, L, D)` to the face's voice `(B, N)`.

        Tokens cover the same time as the mixture; 1 + N // 256 must be a multiple of 16.
        """
        spectrum = self.stft(mixture)
        voice = self.stft.mask(self(spectrum, tokens), spectrum)
        return self.stft.inverse(voice, mixture.shape[1])
