"""A sync model that compares the brightness of frames with the level of audio."""

import torch

from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME


class Brightness:
    """Compares the brightness of five frames with the level of their audio."""

    spec = ClipSpec("mouth", 8, 8, window_frames=5, audio_from_s=0.0, audio_until_s=0.2)

    def encode_video(self, frames):
        return frames.mean((1, 3, 4)).unfold(1, 5, 1)

    def encode_audio(self, wav, starts_s):
        samples = torch.arange(5 * SAMPLES_PER_FRAME)
        at = (starts_s * 16000).round().long()[:, None] + samples
        return wav[:, at].unflatten(-1, (5, SAMPLES_PER_FRAME)).mean(-1)

    def compare(self, video, audio):
        return -20 * ((video - audio) ** 2).sum(-1)
