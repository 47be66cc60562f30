"""Stretches of a clip with their sound: for models that match each window among those around it."""

from typing import NamedTuple

import numpy as np

from avsync.data.clip_windows import ClipWindows
from avsync.timing import SAMPLES_PER_FRAME


class Stretch(NamedTuple):
    """Frames `(T, H, W, 3)` uint8, and sound `(N,)` at 16 kHz from where that of the first window
    begins to where that of the last one ends."""

    frames: np.ndarray
    wav: np.ndarray


class SyncStretches:
    """Draws stretches of equal length that lie inside their clips.

    Args:
        clips: where they are cut; clips that are too short are left out.
        windows: video windows of a stretch, one starting at every frame.
        frames: pictures of a window.
        first_sample: where a window's sound begins, in samples after its first frame.
        samples: how long it is.
    """

    def __init__(
        self, clips: ClipWindows, windows: int, frames: int, first_sample: int, samples: int
    ) -> None:
        if windows < 2:
            raise ValueError(f"windows must be 2 or more to tell apart, got {windows}")
        self.clips, self.first_sample = clips, first_sample
        self.frames = windows - 1 + frames
        self.samples = (windows - 1) * SAMPLES_PER_FRAME + samples
        starts = [
            clips.starts(k, self.frames, first_sample, self.samples) for k in range(len(clips))
        ]
        self.starts = {clip: range_ for clip, range_ in enumerate(starts) if range_}
        if not self.starts:
            raise ValueError(
                f"clips must hold one that leaves {self.frames} frames with their sound, "
                f"got {len(clips)} shorter ones"
            )
        self.usable = list(self.starts)

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, rng: np.random.Generator) -> Stretch:
        """A random stretch of a random clip."""
        clip = self.usable[int(rng.integers(len(self.usable)))]
        starts = self.starts[clip]
        start = starts[int(rng.integers(len(starts)))]
        sound = self.clips.sound(clip, start * SAMPLES_PER_FRAME + self.first_sample, self.samples)
        return Stretch(self.clips.frames(clip, start, self.frames), sound)
