"""Stretches of a clip with their audio: for models that match each window among those around it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.store.reader import PreparedClip
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME


class Stretch(NamedTuple):
    """Frames `(T, H, W, 3)` uint8, and audio `(N,)` at 16 kHz from where that of the first window
    begins to where that of the last one ends."""

    frames: np.ndarray
    wav: np.ndarray


class SyncSequences:
    """Draws stretches of equal length that lie inside their clips.

    Args:
        clips: where they are cut; clips that are too short are left out.
        windows: video windows of a stretch, one starting at every frame.
        frames: frames of a window.
        first_sample: where a window's audio begins, in samples after its first frame.
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
                f"clips must hold one that leaves {self.frames} frames with their audio, "
                f"got {len(clips)} shorter ones"
            )
        self.usable = list(self.starts)

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, rng: np.random.Generator) -> Stretch:
        """Return a random stretch of a random clip."""
        clip = self.usable[int(rng.integers(len(self.usable)))]
        starts = self.starts[clip]
        start = starts[int(rng.integers(len(starts)))]
        audio = self.clips.audio(clip, start * SAMPLES_PER_FRAME + self.first_sample, self.samples)
        return Stretch(self.clips.frames(clip, start, self.frames), audio)


class MouthSequence(NamedTuple):
    """Grey frames `(T, S, S)` float32 in [0, 1]; audio `(N,)` at 16 kHz from `margin` samples
    before the first frame."""

    grey: np.ndarray
    wav: np.ndarray


class MouthSequences:
    """Draws stretches of equal length from clips, silence and all: breath and lips that part before
    a word tell as well.

    Args:
        clips: prepared clips; those shorter than `frames` are left out.
        frames: length of a stretch.
        size: height and width of the grey frames.
        margin_s: audio before the first frame and after the last window.
        audio_window_s: audio that one window sees.
        window_frames: frames that one window sees.
        max_speed: a stretch is played up to this factor faster or slower, audio and frame alike,
            which makes other tempi, voices and pitches. 1 turns it off.
    """

    def __init__(
        self,
        clips: Sequence[PreparedClip],
        frames: int = 45,
        size: int = 64,
        margin_s: float = 0.3,
        audio_window_s: float = 0.22,
        window_frames: int = 5,
        max_speed: float = 1.22,
    ) -> None:
        self.clips = [clip for clip in clips if len(clip.mouth) >= frames]
        if not self.clips:
            raise ValueError(f"clips must hold one of {frames} frames or more, got {len(clips)}")
        self.frames, self.size, self.max_speed = frames, size, max_speed
        self.margin = round(margin_s * SAMPLE_RATE)
        windows = (frames - window_frames) * SAMPLES_PER_FRAME
        self.samples = 2 * self.margin + windows + math.ceil(audio_window_s * SAMPLE_RATE)

    def __len__(self) -> int:
        return len(self.clips)

    def draw(self, place: int, rng: np.random.Generator) -> MouthSequence:
        """Return a random stretch of clip `place`, at a random speed."""
        clip = self.clips[place]
        speed = 1.0
        if self.max_speed > 1 and rng.random() < 0.6:
            limit = math.log(self.max_speed)
            speed = math.exp(rng.uniform(-limit, limit))
        if (self.frames - 1) * speed + 1 > len(clip.mouth):
            speed = 1.0
        start = rng.uniform(0, len(clip.mouth) - ((self.frames - 1) * speed + 1))
        # At its own speed a stretch starts on a frame: nothing needs blending.
        start = float(int(start)) if speed == 1 else start
        return MouthSequence(self._frames(clip, start, speed), self._sound(clip, start, speed))

    def _frames(self, clip: PreparedClip, start: float, speed: float) -> np.ndarray:
        at = start + speed * np.arange(self.frames)
        before = np.minimum(np.floor(at).astype(int), len(clip.mouth) - 1)
        after = np.minimum(before + 1, len(clip.mouth) - 1)
        first = before[0]
        crops = np.stack([self._grey(crop) for crop in clip.mouth[first : after[-1] + 1]])
        if speed == 1:
            return crops[: self.frames] / np.float32(255)
        late = (at - before).astype(np.float32)[:, None, None]
        blend = crops[before - first] * (1 - late) + crops[after - first] * late
        return blend / np.float32(255)

    def _grey(self, crop: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def _sound(self, clip: PreparedClip, start: float, speed: float) -> np.ndarray:
        at = start * SAMPLES_PER_FRAME + speed * (np.arange(self.samples) - self.margin)
        wav = np.asarray(clip.wav_16k)
        return np.interp(at, np.arange(len(wav)), wav, left=0, right=0).astype(np.float32)
