"""Spoken sentences, and parts of them, out of the clips of a store: what reading is learnt from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from avsync.data.corpora.transcripts import Transcript
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.timing import FPS, SAMPLES_PER_FRAME

# When each word starts and ends, in seconds.
Spans = Sequence[tuple[float, float]]


class Utterance(NamedTuple):
    """Frames `(T, H, W, 3)` uint8, their audio `(640 T,)` at 16 kHz, what is said, and where known
    which word of it in each frame: its place in the text `(T,)`, -1 for none.
    """

    frames: np.ndarray
    wav: np.ndarray
    text: str
    places: np.ndarray | None


class Utterances:
    """Draws what is said in clips, whole or in part.

    A part is a run of words, cut where the words before and after it end and begin, by their times;
    of the silence around it as much as falls to it by chance. A whole clip is cut in its silence
    as well. What has no times is drawn uncut.

    Args:
        clips: where they are cut.
        transcripts: of each clip, in seconds of the source.
        starts_s: when each clip starts in its source.
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
        """Return a clip as it is."""
        words, spans = self.transcripts[clip]
        return self._cut(clip, 0, self.clips.lengths[clip], words, spans)

    def draw(self, rng: np.random.Generator) -> Utterance:
        """Return a random clip, or a random part of one."""
        clip = int(rng.integers(len(self.clips)))
        words, spans = self.transcripts[clip]
        if spans is None:
            return self.whole(clip)
        first, last = 0, len(words) - 1
        if rng.random() < self.parts:
            first, last = sorted(int(each) for each in rng.integers(len(words), size=2))
        before = spans[first - 1][1] if first else 0.0
        after = spans[last + 1][0] if last + 1 < len(words) else float("inf")
        zero, length = self.starts_s[clip], self.clips.lengths[clip]
        low = np.clip(round((rng.uniform(before, spans[first][0]) - zero) * FPS), 0, length - 1)
        end = spans[last][1]
        end += rng.random() * max(0.0, min(after, zero + length / FPS) - end)
        high = np.clip(round((end - zero) * FPS), low + 1, length)
        chosen = slice(first, last + 1)
        return self._cut(clip, int(low), int(high), words[chosen], spans[chosen])

    def _cut(
        self, clip: int, low: int, high: int, words: Sequence[str], spans: Spans | None
    ) -> Utterance:
        start, count = low * SAMPLES_PER_FRAME, (high - low) * SAMPLES_PER_FRAME
        places = None
        if spans is not None:
            places = np.full(high - low, -1)
            for place, span in enumerate(spans):
                begin, end = (round((each - self.starts_s[clip]) * FPS) - low for each in span)
                places[max(begin, 0) : max(end, 0)] = place
        frames = self.clips.frames(clip, low, high - low)
        return Utterance(frames, self.clips.audio(clip, start, count), " ".join(words), places)
