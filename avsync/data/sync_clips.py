"""Stretches of prepared clips for sync training: grey mouths, and the sound around them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from avsync.data.store import PreparedClip
from avsync.timing import SAMPLE_RATE, SAMPLES_PER_FRAME


class Stretch(NamedTuple):
    """Grey frames `(T, S, S)` float32 in [0, 1]; sound `(N,)` at 16 kHz from `margin` samples
    before the first frame."""

    grey: np.ndarray
    wav: np.ndarray


class SyncClips:
    """Draws stretches of equal length from clips, silence and all: breath and lips that part before
    a word tell as well.

    Args:
        clips: prepared clips; those shorter than `frames` are left out.
        frames: length of a stretch.
        size: height and width of the grey frames.
        margin_s: sound before the first frame and after the last window.
        audio_window_s: sound that one window sees.
        window_frames: frames that one window sees.
        max_speed: a stretch is played up to this factor faster or slower, sound and picture alike,
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

    def draw(self, place: int, rng: np.random.Generator) -> Stretch:
        """A random stretch of clip `place`, at a random speed."""
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
        return Stretch(self._frames(clip, start, speed), self._sound(clip, start, speed))

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
