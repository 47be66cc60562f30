"""A voice as a talking face hears it: tokens for frames of any rate, from audio that streams."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from avsync.media.audio_reader import AudioClock
from avsync.media.probe import last_audio_packet_end_s, probe_audio, probe_media
from avsync.tasks.talking.generator import TalkingFace
from avsync.timing import FPS, FRAME_MS, SAMPLE_RATE, exact_div

# Frames of another rate than 25 hear the voice on one of these clocks, each so much later than
# the one before: about the hop of what models hear with.
STEP_MS = 10
CLOCKS = exact_div(FRAME_MS, STEP_MS)
# Frames whose tokens are made together, and those that are heard before and after them.
BLOCK, AROUND = 250, 25


class Voice(NamedTuple):
    """The voice in a file: its audio from `origin_s` on the file's clock, which is heard with the
    first frame of the video, for `length_s`.
    """

    path: str
    origin_s: float
    length_s: float

    @staticmethod
    def of(path: str) -> "Voice":
        """That of an audio file, from its beginning; of a video, from its first frame on.

        UnreadableMedia where there is no audio, or none that can be decoded.
        """
        audio = probe_audio(path)
        origin_s = probe_media(path).video_start_s if audio.with_video else max(audio.start_s, 0.0)
        return Voice(path, origin_s, max(last_audio_packet_end_s(path) - origin_s, 0.0))


class VoiceTokens:
    """What a model hears of a voice at any moment, going forward; only some seconds are held.

    Args:
        model: hears at 25 frames a second.
        voice: heard from moment 0 on.
        device: where the model is.
    """

    def __init__(
        self, model: TalkingFace, voice: Voice, device: torch.device | str = "cpu"
    ) -> None:
        self.model, self.device = model, device
        # Blocks are asked for in order, their clocks in any; the last may come again.
        keep_s = 2 * (BLOCK + 2 * AROUND) / FPS
        self.clock = AudioClock(voice.path, voice.origin_s, SAMPLE_RATE, keep_s)
        self.made: dict[tuple[int, int], Tensor] = {}

    def at(self, starts_s: Sequence[float]) -> Tensor:
        """Map when frames of 1/25 s begin, in seconds, rising, to their tokens `(P, D)`, to the
        nearest `STEP_MS`.
        """
        steps = [max(0, round(start_s * 1000 / STEP_MS)) for start_s in starts_s]
        tokens = [self._token(*divmod(step, CLOCKS)) for step in steps]
        oldest = steps[0] // CLOCKS // BLOCK
        self.made = {key: made for key, made in self.made.items() if key[0] >= oldest}
        return torch.stack(tokens)

    def close(self) -> None:
        """Close the file."""
        self.clock.close()

    def _token(self, frame: int, clock: int) -> Tensor:
        block, place = divmod(frame, BLOCK)
        if (block, clock) not in self.made:
            self.made[block, clock] = self._block(block, clock)
        return self.made[block, clock][place]

    def _block(self, block: int, clock: int) -> Tensor:
        # Before the voice begins there is nothing to hear, not silence: so models were trained.
        before = min(AROUND, block * BLOCK)
        frames = before + BLOCK + AROUND
        start_s = (block * BLOCK - before) / FPS + clock * STEP_MS / 1000
        wav = torch.from_numpy(self.clock.window(start_s, start_s + frames / FPS))
        return self.model.encode_speech(wav[None].to(self.device), frames)[0, before:-AROUND]
