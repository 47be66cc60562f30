"""SyncTalklip: a talking face conditioned on AV-SyncNet's audio encoder.

TalkLip (Wang and others, Seeing What You Said, CVPR 2023) is the same network with AV-HuBERT's base
encoder. docs/models/synctalklip.md says what was published, and what was not.
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
    build_talking_face_generator,
)

# Windows that the transformer processes at once.
BATCH_WINDOWS = 256


@dataclass(frozen=True)
class SyncTalklipConfig:
    """Sizes of a SyncTalklip.

    Args:
        encoder: sizes of the audio encoder; TalkLip's code has the base size, SyncTalklip's the
            large one.
        generator: sizes of the generator.
        window: frames of audio that the transformer attends to around each frame; 0 for the whole
            clip, as published; see `SyncTalklip`.
    """

    encoder: AvHubertConfig = field(default_factory=AvHubertConfig)
    generator: TalkingFaceConfig = field(default_factory=TalkingFaceConfig)
    window: int = 15


class SyncTalklip(nn.Module):
    """Generate a talking face from speech.

    The encoder processes a window around each frame, not the clip: a video may then have any length
    and be generated in parts, and AV-SyncNet here compares tokens of the same windows.

    Args:
        encoder: audio encoder; its visual part is unused, and is there so that AV-SyncNet's weights
            fit.
        front_end: waveform `(B, N)` to log filter-bank energies `(B, T, 104)`.
        generator: generates the frames.
        window: frames of the window around each frame, odd, or 0 for the whole clip.
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
        # TalkLip's `sync_net`: only its contrastive loss needs it.
        self.audio_proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map speech tokens `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to frames `(B, 3, 96, 96)`.

        Frames are RGB in [0, 1].
        """
        frames: Tensor = self.generator(tokens, faces)
        return frames

    def encode_speech(self, wav: Tensor, frames: int) -> Tensor:
        """Map speech `(B, N)` at 16 kHz that starts with the first frame to `(B, frames, D)`.

        There is one token for each frame; after the end of the audio there is silence.
        """
        indices = torch.arange(frames, device=wav.device).expand(len(wav), -1)
        return self.encode_at_frames(self.front_end(wav, frames), indices)

    def encode_at_frames(self, audio: Tensor, indices: Tensor) -> Tensor:
        """Map log energies `(B, T, 104)` and indices of P frames `(B, P)` to tokens `(B, P, D)`."""
        if not self.window:
            tokens = self.encoder(audio.to(self.audio_proj.weight.dtype), None)
            return tokens.gather(1, indices[..., None].expand(-1, -1, tokens.shape[2]))
        reach = self.window // 2
        # Zeros are what the front end returns where there is no audio.
        padded = F.pad(audio, (0, 0, reach, reach)).to(self.audio_proj.weight.dtype)
        around = indices[..., None] + torch.arange(self.window, device=indices.device)
        clips = torch.arange(len(audio), device=indices.device)[:, None, None]
        features = rearrange(
            self.encoder.encode_audio(padded)[clips, around], "b p w d -> (b p) w d"
        )
        middle = slice(reach, reach + 1)
        blocks = features.split(BATCH_WINDOWS)
        tokens = torch.cat([self.encoder.fuse(block, None, keep=middle) for block in blocks])
        return tokens.squeeze(1).unflatten(0, tuple(indices.shape))

    def embed_audio(self, tokens: Tensor) -> Tensor:
        """Map speech tokens `(..., D)` to the unit embeddings that TalkLip compares with lips."""
        return F.normalize(self.audio_proj(F.normalize(tokens, dim=-1)), dim=-1)


def build_synctalklip(config: SyncTalklipConfig) -> SyncTalklip:
    """Build a SyncTalklip with fresh weights."""
    dim = config.generator.channels[-1]
    return SyncTalklip(
        encoder=AvHubertEncoder(config.encoder),
        front_end=StackedFbank(),
        generator=build_talking_face_generator(
            config.generator, nn.Linear(config.encoder.dim, dim)
        ),
        window=config.window,
    )
