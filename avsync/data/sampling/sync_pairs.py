"""Pairs in and out of sync from one clip: what VocaLiST, SyncNet and the lip expert learn from.

Kadandale, Montesinos and Haro, VocaLiST (Interspeech 2022), as its public code draws them.
"""

import math
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.timing import SAMPLES_PER_FRAME

# Root mean square of audio that counts as loud, in [0, 1].
LOUD = 0.01
# Wrong windows tried for a quiet right one before another clip is drawn.
TRIES = 11
# Clips that may be drawn in vain before the store is said to be silent.
DRAWS = 1000


class Pair(NamedTuple):
    """Frames `(T, H, W, 3)` uint8, audio `(N,)` at 16 kHz, and 1.0 where they are in sync, else
    0.0."""

    frames: np.ndarray
    wav: np.ndarray
    label: float


class SyncPairs:
    """Draws windows of frames with their own audio, or with that of another window of the clip.

    Both cases come equally often. A wrong window may be one frame away, where the curriculum lets
    it. Where the right audio is quiet, the wrong one must be loud: of two silences neither is wrong
    (the public code counts digital silence as loud; here it is quiet).

    Args:
        clips: where windows are cut; clips of fewer frames than `least_frames` are left out.
        frames: frames of a window.
        first_sample: where a window's audio begins, in samples after its first frame.
        samples: how long it is.
        least_frames: of a clip; the public code takes more than 25.
        far: at the start of training a wrong window is at least this many frames away, or as far as
            the clip allows; 1 is the published rule from the start.
        far_until: share of training after which a wrong window may be one frame away.
    """

    def __init__(
        self,
        clips: ClipWindows,
        frames: int = 5,
        first_sample: int = 0,
        samples: int = 5 * SAMPLES_PER_FRAME,
        least_frames: int = 26,
        far: int = 1,
        far_until: float = 0.5,
    ) -> None:
        if far < 1 or not 0 <= far_until <= 1:
            raise ValueError(
                f"far must be 1 or more and far_until in [0, 1], got {far} and {far_until}"
            )
        self.clips, self.frames = clips, frames
        self.first_sample, self.samples = first_sample, samples
        self.far, self.far_until = far, far_until
        self.starts = {
            clip: starts
            for clip, length in enumerate(clips.lengths)
            if length >= least_frames
            and len(starts := clips.starts(clip, frames, first_sample, samples)) > 1
        }
        if not self.starts:
            raise ValueError(
                f"clips must hold one of {max(least_frames, frames + 1)} frames or more, "
                f"got {len(clips)} shorter ones"
            )
        self.usable = list(self.starts)

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, rng: np.random.Generator, progress: float = 1.0) -> Pair:
        """Return a pair of a random clip, after this share of training.

        RuntimeError where no clip has loud audio.
        """
        # Before the clip: quiet ones, which give no wrong pairs, must not make right ones likelier.
        if rng.random() < 0.5:
            clip, right = self._window(rng)
            heard = self._sound(clip, right)
            return Pair(self.clips.frames(clip, right, self.frames), heard, 1.0)
        return self.draw_both(rng, progress)[1]

    def draw_both(self, rng: np.random.Generator, progress: float = 1.0) -> tuple[Pair, Pair]:
        """Return a window of a random clip with its own audio, and with a wrong one.

        RuntimeError where no clip has loud audio.
        """
        for _ in range(DRAWS):
            clip, right = self._window(rng)
            heard = self._sound(clip, right)
            others = far_starts(self.starts[clip], right, self.nearest(progress))
            wrong = self._wrong(clip, others, rng, loud=rms(heard) <= LOUD)
            if wrong is not None:
                frames = self.clips.frames(clip, right, self.frames)
                return Pair(frames, heard, 1.0), Pair(frames, wrong, 0.0)
        raise RuntimeError(f"{DRAWS} clips drawn in a row are silent: nothing can be out of sync")

    def _window(self, rng: np.random.Generator) -> tuple[int, int]:
        clip = self.usable[one_of(len(self.usable), rng)]
        starts = self.starts[clip]
        return clip, starts[one_of(len(starts), rng)]

    def nearest(self, progress: float) -> int:
        """Return frames that a wrong window is away at least, after this share of training."""
        left = 1 - progress / self.far_until if self.far_until else 0.0
        return 1 + round((self.far - 1) * max(0.0, left))

    def _wrong(
        self, clip: int, others: tuple[range, range], rng: np.random.Generator, loud: bool
    ) -> np.ndarray | None:
        before, after = others
        for _ in range(TRIES):
            place = one_of(len(before) + len(after), rng)
            start = before[place] if place < len(before) else after[place - len(before)]
            audio = self._sound(clip, start)
            if not loud or rms(audio) > LOUD:
                return audio
        return None

    def _sound(self, clip: int, start: int) -> np.ndarray:
        return self.clips.audio(clip, start * SAMPLES_PER_FRAME + self.first_sample, self.samples)


def far_starts(starts: range, right: int, nearest: int) -> tuple[range, range]:
    """Return the starts at least `nearest` frames before and after the right one; only the farthest where
    there is none.
    """
    nearest = min(nearest, max(right - starts[0], starts[-1] - right))
    return range(starts[0], right - nearest + 1), range(right + nearest, starts[-1] + 1)


def one_of(count: int, rng: np.random.Generator) -> int:
    """Return a number below `count`, evenly; an eighth of the time that `rng.integers` takes for one."""
    return int(rng.random() * count)


def rms(wav: np.ndarray) -> float:
    return math.sqrt(float(np.dot(wav, wav)) / len(wav))
