"""Spoken sentences, whole or in part, with their text: for training a lip reader."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from avsync.data.corpora.transcripts import Transcript
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.timing import FPS, SAMPLES_PER_FRAME


class Utterance(NamedTuple):
    """Frames and audio of a sentence or a part of it, and what is said.

    Args:
        frames: `(T, H, W, 3)` uint8.
        wav: audio `(640 T,)` at 16 kHz.
        text: the words, separated by spaces.
        word_indices: index of the word that is said in each frame `(T,)`, -1 for none; None if the
            times of the words are not known.
    """

    frames: np.ndarray
    wav: np.ndarray
    text: str
    word_indices: np.ndarray | None


class Utterances:
    """Random clips, whole or in part, with what is said in them.

    A part is a run of words, cut at a random time between the first word and the word before it,
    and between the last word and the word after it. A whole clip loses a random share of the
    silence at its ends. Clips without word times are not cut.

    Args:
        clips: windows of clips.
        transcripts: transcript of each clip, in seconds of the source.
        starts_s: start of each clip in its source.
        parts: share of the draws that are parts.
    """

    def __init__(
        self,
        clips: ClipWindows,
        transcripts: Sequence[Transcript],
        starts_s: Sequence[float],
        parts: float = 0.0,
    ) -> None:
        if not 0 <= parts <= 1:
            raise ValueError(f"parts must be in [0, 1], got {parts}")
        if not len(clips):
            raise ValueError("clips must hold one or more, got none")
        self.clips, self.transcripts = clips, list(transcripts)
        self.starts_s, self.parts = list(starts_s), parts

    def __len__(self) -> int:
        return len(self.clips)

    def whole(self, clip: int) -> Utterance:
        """Return a clip uncut."""
        return self._cut(clip, 0, self.clips.lengths[clip], self.transcripts[clip])

    def draw(self, rng: np.random.Generator) -> Utterance:
        """Draw a random clip, or a random part of one."""
        clip = int(rng.integers(len(self.clips)))
        words, times_s = self.transcripts[clip]
        if times_s is None:
            return self.whole(clip)
        first, last = 0, len(words) - 1
        if rng.random() < self.parts:
            first, last = sorted(int(word) for word in rng.integers(len(words), size=2))
        before = times_s[first - 1][1] if first else 0.0
        after = times_s[last + 1][0] if last + 1 < len(words) else float("inf")
        zero, length = self.starts_s[clip], self.clips.lengths[clip]
        low = np.clip(round((rng.uniform(before, times_s[first][0]) - zero) * FPS), 0, length - 1)
        end = times_s[last][1]
        end += rng.random() * max(0.0, min(after, zero + length / FPS) - end)
        high = np.clip(round((end - zero) * FPS), low + 1, length)
        chosen = slice(first, last + 1)
        return self._cut(clip, int(low), int(high), Transcript(words[chosen], times_s[chosen]))

    def _cut(self, clip: int, low: int, high: int, transcript: Transcript) -> Utterance:
        start, count = low * SAMPLES_PER_FRAME, (high - low) * SAMPLES_PER_FRAME
        indices = None
        if transcript.times_s is not None:
            indices = np.full(high - low, -1)
            for index, times_s in enumerate(transcript.times_s):
                begin, end = (round((t - self.starts_s[clip]) * FPS) - low for t in times_s)
                indices[max(begin, 0) : max(end, 0)] = index
        frames = self.clips.frames(clip, low, high - low)
        return Utterance(frames, self.clips.audio(clip, start, count), transcript.text, indices)
