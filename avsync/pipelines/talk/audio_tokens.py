"""Encode speech for a talking-face model: tokens for frames at any rate, from streamed audio."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from avsync.media.audio_reader import AudioClock
from avsync.media.probe import last_audio_packet_end_s, probe_audio, probe_media
from avsync.tasks.talking.generator import TalkingFace
from avsync.timing import FPS, FRAME_MS, SAMPLE_RATE, exact_div

# Models encode speech at 25 fps. For frames at other rates it is encoded in up to four phases,
# each later than the one before by about the hop of the models' spectrograms.
STEP_MS = 10
PHASES = exact_div(FRAME_MS, STEP_MS)
# Frames encoded together, and context frames before and after them.
BLOCK_FRAMES, CONTEXT_FRAMES = 250, 25


class SpeechSource(NamedTuple):
    """The speech in a file.

    Args:
        path: an audio file or a video.
        origin_s: where the speech starts on the file's clock; it is played from the first frame on.
        length_s: duration of the speech.
    """

    path: str
    origin_s: float
    length_s: float

    @staticmethod
    def from_file(path: str) -> "SpeechSource":
        """Return an audio file from its start, or a video's audio from its first frame on.

        Raises:
            UnreadableMedia: if there is no audio, or none that can be decoded.
        """
        audio = probe_audio(path)
        origin_s = probe_media(path).video_start_s if audio.with_video else max(audio.start_s, 0.0)
        return SpeechSource(path, origin_s, max(last_audio_packet_end_s(path) - origin_s, 0.0))


class SpeechTokens:
    """Speech tokens of a model at any time, going forward; some seconds are held in memory.

    Args:
        model: encodes speech at 25 fps.
        speech: the speech; times are relative to its start.
        device: device of the model.
    """

    def __init__(
        self, model: TalkingFace, speech: SpeechSource, device: torch.device | str = "cpu"
    ) -> None:
        self.model, self.device = model, device
        # Blocks are requested in order, their phases in any order; the last may come again.
        keep_s = 2 * (BLOCK_FRAMES + 2 * CONTEXT_FRAMES) / FPS
        self.clock = AudioClock(speech.path, speech.origin_s, SAMPLE_RATE, keep_s)
        # Tokens of the blocks in use, by block and phase.
        self.blocks: dict[tuple[int, int], Tensor] = {}

    def at(self, starts_s: Sequence[float]) -> Tensor:
        """Return the tokens `(P, D)` of frames of 1/25 s, to the nearest `STEP_MS`.

        Args:
            starts_s: start times of the frames in seconds, ascending.
        """
        steps = [max(0, round(start_s * 1000 / STEP_MS)) for start_s in starts_s]
        tokens = [self._token(*divmod(step, PHASES)) for step in steps]
        oldest = steps[0] // PHASES // BLOCK_FRAMES
        self.blocks = {key: block for key, block in self.blocks.items() if key[0] >= oldest}
        return torch.stack(tokens)

    def close(self) -> None:
        """Close the file."""
        self.clock.close()

    def _token(self, frame: int, phase: int) -> Tensor:
        block, index = divmod(frame, BLOCK_FRAMES)
        if (block, phase) not in self.blocks:
            self.blocks[block, phase] = self._encode(block, phase)
        return self.blocks[block, phase][index]

    def _encode(self, block: int, phase: int) -> Tensor:
        # At the start of the speech there is no context, not silence: models are trained so.
        before = min(CONTEXT_FRAMES, block * BLOCK_FRAMES)
        frames = before + BLOCK_FRAMES + CONTEXT_FRAMES
        start_s = (block * BLOCK_FRAMES - before) / FPS + phase * STEP_MS / 1000
        wav = torch.from_numpy(self.clock.window(start_s, start_s + frames / FPS))
        tokens = self.model.encode_speech(wav[None].to(self.device), frames)
        return tokens[0, before:-CONTEXT_FRAMES]
