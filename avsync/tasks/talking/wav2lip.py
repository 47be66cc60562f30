"""Wav2Lip: a talking face conditioned on 0.2 s of mel around each frame.

Source: Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild (ACM Multimedia 2020).
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
    build_talking_face_generator,
)
from avsync.timing import SAMPLES_PER_FRAME

# The public training cuts the mel of a frame from the frame before it on, its inference from the
# frame itself on.
FRAMES_BEFORE = 1
WINDOW_COLUMNS = 16
# Output of the front end for silence.
SILENCE = -4.0


@dataclass(frozen=True)
class Wav2LipConfig:
    """Sizes of a Wav2Lip, by default those of the published weights.

    Args:
        mel_channels: widths of the audio encoder; a last one is added, that of the generator's
            smallest map.
        generator: sizes of the generator.
    """

    mel_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    generator: TalkingFaceConfig = field(default_factory=TalkingFaceConfig)


class Wav2Lip(nn.Module):
    """Generate a talking face from speech.

    Args:
        audio: mel `(B, 80, 16)` to tokens `(B, D)`.
        front_end: waveform `(B, N)` to mel `(B, 80, 1 + N // 200)`, with pre-emphasis.
        generator: generates the frames, and takes the tokens unchanged.
    """

    def __init__(
        self, audio: Wav2LipAudioEncoder, front_end: DecibelMel, generator: TalkingFaceGenerator
    ) -> None:
        super().__init__()
        self.audio, self.front_end, self.generator = audio, front_end, generator
        self.spec = FACE_SPEC

    def forward(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map speech tokens `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to frames `(B, 3, 96, 96)`.

        Frames are RGB in [0, 1].
        """
        frames: Tensor = self.generator(tokens, faces)
        return frames

    def encode_speech(self, wav: Tensor, frames: int) -> Tensor:
        """Map speech `(B, N)` at 16 kHz that starts with the first frame to `(B, frames, D)`.

        There is one token for each frame; before and after the audio there is silence.
        """
        indices = torch.arange(frames, device=wav.device).expand(len(wav), -1)
        return self.encode_at_frames(self.front_end(wav), indices)

    def encode_at_frames(self, audio: Tensor, indices: Tensor) -> Tensor:
        """Map mel `(B, 80, S)` and indices of P frames `(B, P)` to tokens `(B, P, D)`."""
        hop, reach = self.front_end.hop_length, self.audio.window_columns
        firsts = (indices - FRAMES_BEFORE) * SAMPLES_PER_FRAME // hop
        beyond = max(0, int(firsts.max()) + reach - audio.shape[-1])
        padded = F.pad(audio, (reach, beyond), value=SILENCE)
        columns = firsts[..., None] + reach + torch.arange(reach, device=indices.device)
        clips = torch.arange(len(audio), device=indices.device)[:, None, None]
        windows = rearrange(padded.mT[clips, columns], "b p s m -> (b p) m s")
        tokens: Tensor = self.audio(windows.to(next(self.audio.parameters()).dtype))
        return tokens.unflatten(0, tuple(indices.shape))


def build_wav2lip(config: Wav2LipConfig) -> Wav2Lip:
    """Build a Wav2Lip with fresh weights."""
    channels = (*config.mel_channels, config.generator.channels[-1])
    return Wav2Lip(
        audio=Wav2LipAudioEncoder(channels, WINDOW_COLUMNS, last_residuals=1),
        front_end=DecibelMel(preemphasis=PREEMPHASIS),
        generator=build_talking_face_generator(config.generator, nn.Identity()),
    )
