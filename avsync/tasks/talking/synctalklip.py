"""SyncTalklip: a talking face that AV-SyncNet's voice encoder tells what to say.

TalkLip (Wang and others, Seeing What You Said, CVPR 2023) is the same network behind AV-HuBERT's
base encoder. What was published, and what was not, is in docs/synctalklip.md.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.fbank import StackedFbank
from avsync.encoders.av_hubert import AvHubertConfig, AvHubertEncoder
from avsync.tasks.talking.generator import (
    FACE_SPEC,
    TalkingFaceConfig,
    TalkingFaceGenerator,
    build_generator,
)

# Windows that pass the transformer together.
BATCH_WINDOWS = 256


@dataclass(frozen=True)
class SyncTalklipConfig:
    """Sizes of a SyncTalklip.

    Args:
        encoder: of the encoder that hears; TalkLip's code has the base, SyncTalklip's the large.
        generator: of what draws.
        window: frames of audio that the transformer hears around each frame, 0 for the whole clip,
            as published; see `SyncTalklip`.
    """

    encoder: AvHubertConfig = field(default_factory=AvHubertConfig)
    generator: TalkingFaceConfig = field(default_factory=TalkingFaceConfig)
    window: int = 15


class SyncTalklip(nn.Module):
    """Makes a face say what a voice says.

    The encoder hears a window around each frame, not the clip: so a video may be of any length, and
    be made piece by piece, and AV-SyncNet here compares tokens of the same windows.

    Args:
        encoder: hears; its part that sees is unused, and is there so that AV-SyncNet's fits.
        front_end: waveform `(B, N)` -> log energies `(B, T, 104)`.
        generator: draws.
        window: frames that are heard around each one, odd, or 0 for the whole clip.
    """

    def __init__(
        self,
        encoder: AvHubertEncoder,
        front_end: StackedFbank,
        generator: TalkingFaceGenerator,
        window: int = 15,
    ) -> None:
        super().__init__()
        if window < 0 or (window and window % 2 == 0):
            raise ValueError(f"window must be odd, or 0 for the whole clip, got {window}")
        self.encoder, self.front_end, self.generator = encoder, front_end, generator
        self.window, self.spec = window, FACE_SPEC
        dim = encoder.config.dim
        # TalkLip's `sync_net`: only its contrast asks for it.
        self.audio_proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map tokens of the voice `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to RGB frames `(B, 3,
        96, 96)` in [0, 1].
        """
        frames: Tensor = self.generator(tokens, faces)
        return frames

    def encode_voice(self, wav: Tensor, frames: int) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz that starts with the first frame to a token for each
        frame `(B, frames, D)`; beyond the audio's end there is silence.
        """
        every = torch.arange(frames, device=wav.device).expand(len(wav), -1)
        return self.encode_some(self.front_end(wav, frames), every)

    def encode_some(self, audio: Tensor, places: Tensor) -> Tensor:
        """Map log energies `(B, T, 104)` and frames' places `(B, P)` in them to the tokens of
        those frames `(B, P, D)`.
        """
        if not self.window:
            tokens = self.encoder(audio.to(self.audio_proj.weight.dtype), None)
            return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[2]))
        reach = self.window // 2
        # Zeros are what the front end gives where there is no audio.
        padded = F.pad(audio, (0, 0, reach, reach)).to(self.audio_proj.weight.dtype)
        around = places[..., None] + torch.arange(self.window, device=places.device)
        rows = torch.arange(len(audio), device=places.device)[:, None, None]
        features = rearrange(
            self.encoder.encode_audio(padded)[rows, around], "b p w d -> (b p) w d"
        )
        middle = slice(reach, reach + 1)
        found = [
            self.encoder.fuse(part, None, keep=middle) for part in features.split(BATCH_WINDOWS)
        ]
        return torch.cat(found).squeeze(1).unflatten(0, tuple(places.shape))

    def embed_audio(self, tokens: Tensor) -> Tensor:
        """Map tokens of the voice `(..., D)` to what TalkLip compares with lips, of length 1."""
        return F.normalize(self.audio_proj(F.normalize(tokens, dim=-1)), dim=-1)


def build(config: SyncTalklipConfig) -> SyncTalklip:
    """Return the model of that configuration, with fresh weights."""
    said = config.generator.channels[-1]
    return SyncTalklip(
        encoder=AvHubertEncoder(config.encoder),
        front_end=StackedFbank(),
        generator=build_generator(config.generator, nn.Linear(config.encoder.dim, said)),
        window=config.window,
    )
