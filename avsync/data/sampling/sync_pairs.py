"""Pairs in and out of sync from one clip, as VocaLiST, SyncNet and the lip expert are trained.

Source: Kadandale, Montesinos and Haro, VocaLiST (Interspeech 2022), drawn as by its public code.
"""

import math
from typing import NamedTuple

import numpy as np

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.timing import SAMPLES_PER_FRAME

# Root mean square above which audio counts as loud, in [0, 1].
LOUD = 0.01
# Wrong windows tried for a silent right one before another clip is drawn.
TRIES = 11
# Clips drawn in vain before the store is reported as silent.
DRAWS = 1000


class SyncPair(NamedTuple):
    """Frames `(T, H, W, 3)` uint8, audio `(N,)` at 16 kHz, and the label: 1.0 in sync, else 0.0."""

    frames: np.ndarray
    wav: np.ndarray
    label: float


class SyncPairs:
    """Random windows of frames with their own audio, or with that of another window of the clip.

    Both cases are equally likely. A wrong window may be one frame away, if the curriculum allows
    it. If the right audio is silent, the wrong one must be loud: of two silent windows neither is
    wrong (the public code counts digital silence as loud; here it is silent).

    Args:
        clips: windows of clips; clips of fewer than `min_clip_frames` frames are left out.
        frames: frames of a window.
        first_sample: first sample of a window's audio, counted from its first frame.
        samples: samples of a window's audio.
        min_clip_frames: shortest clip; the public code takes those of more than 25 frames.
        min_distance: at the start of training a wrong window is at least this many frames away, or
            as far as the clip allows; 1 is the published rule.
        curriculum_share: share of training over which that distance falls to one frame.

    Raises:
        ValueError: a distance or share is out of range, or no clip is long enough.
    """

    def __init__(
        self,
        clips: ClipWindows,
        frames: int = 5,
        first_sample: int = 0,
        samples: int = 5 * SAMPLES_PER_FRAME,
        min_clip_frames: int = 26,
        min_distance: int = 1,
        curriculum_share: float = 0.5,
    ) -> None:
        if min_distance < 1 or not 0 <= curriculum_share <= 1:
            raise ValueError(
                "min_distance must be 1 or more and curriculum_share in [0, 1], "
                f"got {min_distance} and {curriculum_share}"
            )
        self.clips, self.frames = clips, frames
        self.first_sample, self.samples = first_sample, samples
        self.min_distance, self.curriculum_share = min_distance, curriculum_share
        self.starts = {
            clip: starts
            for clip, length in enumerate(clips.lengths)
            if length >= min_clip_frames
            and len(starts := clips.starts(clip, frames, first_sample, samples)) > 1
        }
        if not self.starts:
            raise ValueError(
                f"clips must hold one of {max(min_clip_frames, frames + 1)} frames or more, "
                f"got {len(clips)} shorter ones"
            )
        self.usable = list(self.starts)

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, rng: np.random.Generator, progress: float = 1.0) -> SyncPair:
        """Draw a pair from a random clip.

        Args:
            rng: draws.
            progress: share of training that is done.

        Raises:
            RuntimeError: no clip has loud audio.
        """
        # Decided before the clip is drawn: silent clips, which give no wrong pairs, must not make
        # right ones likelier.
        if rng.random() < 0.5:
            clip, right = self._draw_window(rng)
            wav = self._audio(clip, right)
            return SyncPair(self.clips.frames(clip, right, self.frames), wav, 1.0)
        return self.draw_both(rng, progress)[1]

    def draw_both(
        self, rng: np.random.Generator, progress: float = 1.0
    ) -> tuple[SyncPair, SyncPair]:
        """Draw a window with its own audio, and the same window with wrong audio; see `draw`."""
        for _ in range(DRAWS):
            clip, right = self._draw_window(rng)
            wav = self._audio(clip, right)
            others = distant_starts(self.starts[clip], right, self.distance(progress))
            wrong = self._draw_wrong(clip, others, rng, loud=rms(wav) <= LOUD)
            if wrong is not None:
                frames = self.clips.frames(clip, right, self.frames)
                return SyncPair(frames, wav, 1.0), SyncPair(frames, wrong, 0.0)
        raise RuntimeError(f"{DRAWS} clips drawn in a row are silent: nothing can be out of sync")

    def distance(self, progress: float) -> int:
        """Return the least distance of a wrong window in frames, at a share of training."""
        left = 1 - progress / self.curriculum_share if self.curriculum_share else 0.0
        return 1 + round((self.min_distance - 1) * max(0.0, left))

    def _draw_window(self, rng: np.random.Generator) -> tuple[int, int]:
        clip = self.usable[random_index(len(self.usable), rng)]
        starts = self.starts[clip]
        return clip, starts[random_index(len(starts), rng)]

    def _draw_wrong(
        self, clip: int, others: tuple[range, range], rng: np.random.Generator, loud: bool
    ) -> np.ndarray | None:
        before, after = others
        for _ in range(TRIES):
            index = random_index(len(before) + len(after), rng)
            start = before[index] if index < len(before) else after[index - len(before)]
            wav = self._audio(clip, start)
            if not loud or rms(wav) > LOUD:
                return wav
        return None

    def _audio(self, clip: int, start: int) -> np.ndarray:
        return self.clips.audio(clip, start * SAMPLES_PER_FRAME + self.first_sample, self.samples)


def distant_starts(starts: range, right: int, distance: int) -> tuple[range, range]:
    """Return the starts at least `distance` frames before and after the right one.

    If there are none, the most distant start is returned.
    """
    distance = min(distance, max(right - starts[0], starts[-1] - right))
    return range(starts[0], right - distance + 1), range(right + distance, starts[-1] + 1)


def random_index(count: int, rng: np.random.Generator) -> int:
    """Draw an index below `count`; an eighth of the time that `rng.integers` takes for one."""
    return int(rng.random() * count)


def rms(wav: np.ndarray) -> float:
    return math.sqrt(float(np.dot(wav, wav)) / len(wav))
