"""Wav2Lip: a talking face that a mel of 0.2 s around each frame tells what to say.

Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech to Lip
Generation In the Wild (ACM Multimedia 2020).
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.features import DecibelMel
from avsync.encoders.wav2lip_expert import Wav2LipAudioEncoder
from avsync.tasks.sync.lip_expert import PREEMPHASIS
from avsync.tasks.talking.generator import (
    FACE_SPEC,
    TalkingFaceConfig,
    TalkingFaceGenerator,
    build_generator,
)
from avsync.timing import SAMPLES_PER_FRAME

# The public training cuts the mel of a frame from the frame before it on; its inference from the
# frame itself on.
FRAMES_BEFORE = 1
WINDOW_COLUMNS = 16
# What the front end gives for silence.
SILENCE = -4.0


@dataclass(frozen=True)
class Wav2LipConfig:
    """Sizes of a Wav2Lip; those of the published weights by default.

    Args:
        mel_channels: widths of the encoder that hears; the last is made that of what is seen.
        generator: of what draws.
    """

    mel_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    generator: TalkingFaceConfig = field(default_factory=TalkingFaceConfig)


class Wav2Lip(nn.Module):
    """Makes a face say what a voice says.

    Args:
        audio: mel `(B, 80, 16)` -> tokens `(B, D)`.
        front_end: waveform `(B, N)` -> mel `(B, 80, 1 + N // 200)`, with pre-emphasis.
        generator: draws, and takes the tokens as they are.
    """

    def __init__(
        self, audio: Wav2LipAudioEncoder, front_end: DecibelMel, generator: TalkingFaceGenerator
    ) -> None:
        super().__init__()
        self.audio, self.front_end, self.generator = audio, front_end, generator
        self.spec = FACE_SPEC

    def forward(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map tokens of the voice `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to RGB frames `(B, 3,
        96, 96)` in [0, 1].
        """
        frames: Tensor = self.generator(tokens, faces)
        return frames

    def encode_voice(self, wav: Tensor, frames: int) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz that starts with the first frame to a token for each
        frame `(B, frames, D)`; beyond the audio's ends there is silence.
        """
        every = torch.arange(frames, device=wav.device).expand(len(wav), -1)
        return self.encode_some(self.front_end(wav), every)

    def encode_some(self, audio: Tensor, places: Tensor) -> Tensor:
        """Map mel `(B, 80, S)` and frames' places `(B, P)` to the tokens of those frames `(B, P,
        D)`.
        """
        hop, reach = self.front_end.hop_length, self.audio.window_columns
        firsts = (places - FRAMES_BEFORE) * SAMPLES_PER_FRAME // hop
        beyond = max(0, int(firsts.max()) + reach - audio.shape[-1])
        padded = F.pad(audio, (reach, beyond), value=SILENCE)
        columns = firsts[..., None] + reach + torch.arange(reach, device=places.device)
        rows = torch.arange(len(audio), device=places.device)[:, None, None]
        windows = rearrange(padded.mT[rows, columns], "b p s m -> (b p) m s")
        tokens: Tensor = self.audio(windows.to(next(self.audio.parameters()).dtype))
        return tokens.unflatten(0, tuple(places.shape))


def build(config: Wav2LipConfig) -> Wav2Lip:
    """Return the model of that configuration, with fresh weights."""
    channels = (*config.mel_channels, config.generator.channels[-1])
    return Wav2Lip(
        audio=Wav2LipAudioEncoder(channels, WINDOW_COLUMNS, last_residuals=1),
        front_end=DecibelMel(preemphasis=PREEMPHASIS),
        generator=build_generator(config.generator, nn.Identity()),
    )
