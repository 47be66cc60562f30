"""Segments of many windows, for models that match each window among the ones around it."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from avsync.data.cache.mouths import MouthCache
from avsync.data.sampling.clip_windows import ClipWindows
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME


class SyncSequence(NamedTuple):
    """Frames `(T, H, W, 3)` uint8, and the audio `(N,)` at 16 kHz of all their windows.

    The audio begins where that of the first window begins and ends where that of the last one ends.
    """

    frames: np.ndarray
    wav: np.ndarray


class SyncSequences:
    """Random segments of equal length that lie completely inside their clips.

    Args:
        clips: windows of clips; clips that are too short are left out.
        windows: video windows of a segment, one starting at every frame.
        frames: frames of a window.
        first_sample: first sample of a window's audio, counted from its first frame.
        samples: samples of a window's audio.

    Raises:
        ValueError: there are fewer than two windows, or no clip is long enough.
    """

    def __init__(
        self, clips: ClipWindows, windows: int, frames: int, first_sample: int, samples: int
    ) -> None:
        if windows < 2:
            raise ValueError(f"windows must be 2 or more to be matched, got {windows}")
        self.clips, self.first_sample = clips, first_sample
        self.frames = windows - 1 + frames
        self.samples = (windows - 1) * SAMPLES_PER_FRAME + samples
        starts = [
            clips.starts(k, self.frames, first_sample, self.samples) for k in range(len(clips))
        ]
        self.starts = {clip: found for clip, found in enumerate(starts) if found}
        if not self.starts:
            raise ValueError(
                f"clips must hold one that leaves {self.frames} frames with their audio, "
                f"got {len(clips)} shorter ones"
            )
        self.usable = list(self.starts)

    def __len__(self) -> int:
        return len(self.usable)

    def draw(self, rng: np.random.Generator) -> SyncSequence:
        """Draw a random segment of a random clip."""
        clip = self.usable[int(rng.integers(len(self.usable)))]
        starts = self.starts[clip]
        start = starts[int(rng.integers(len(starts)))]
        audio = self.clips.audio(clip, start * SAMPLES_PER_FRAME + self.first_sample, self.samples)
        return SyncSequence(self.clips.frames(clip, start, self.frames), audio)


class VariedSegment(NamedTuple):
    """A segment of a clip at some speed.

    Args:
        clip: index of the clip.
        at: `(T,)`, positions in the clip's frames, between frames unless the speed is 1.
        last: the last frame of the clip that may be used.
        wav: audio `(N,)` at 16 kHz, from `margin` samples before the first frame.
    """

    clip: int
    at: np.ndarray
    last: int
    wav: np.ndarray


class VariedSegments:
    """Random segments of equal length at random speeds, silence included.

    Silence is kept because breath, and lips that part before a word, carry information as well.

    Args:
        clips: windows of clips. Clips shorter than `frames` are left out. Frames and audio without
            a counterpart in a clip that is shifted are not used.
        frames: length of a segment.
        margin_s: audio before the first frame and after the last window.
        audio_window_s: audio that one window sees.
        window_frames: frames that one window sees.
        max_speed: a segment is played up to this factor faster or slower, audio and video by the
            same factor, which gives other tempi, voices and pitches. 1 turns it off.

    Raises:
        ValueError: no clip is long enough, or a clip is shifted by more than its length.
    """

    def __init__(
        self,
        clips: ClipWindows,
        frames: int = 45,
        margin_s: float = 0.3,
        audio_window_s: float = 0.22,
        window_frames: int = 5,
        max_speed: float = 1.22,
    ) -> None:
        self.clips = clips
        whole = [_frames_with_audio(clips, clip) for clip in range(len(clips))]
        self.usable = {clip: kept for clip, kept in enumerate(whole) if len(kept) >= frames}
        if not self.usable:
            raise ValueError(f"clips must hold one of {frames} frames or more, got {len(clips)}")
        self.numbers = list(self.usable)
        self.frames, self.max_speed = frames, max_speed
        self.margin = round(margin_s * SAMPLE_RATE)
        windows = (frames - window_frames) * SAMPLES_PER_FRAME
        self.samples = 2 * self.margin + windows + math.ceil(audio_window_s * SAMPLE_RATE)

    def __len__(self) -> int:
        return len(self.numbers)

    def draw(self, index: int, rng: np.random.Generator) -> VariedSegment:
        """Draw a random segment of usable clip `index`, at a random speed."""
        clip = self.numbers[index]
        kept = self.usable[clip]
        length = len(kept)
        speed = 1.0
        if self.max_speed > 1 and rng.random() < 0.6:
            limit = math.log(self.max_speed)
            speed = math.exp(rng.uniform(-limit, limit))
        if (self.frames - 1) * speed + 1 > length:
            speed = 1.0
        start = rng.uniform(0, length - ((self.frames - 1) * speed + 1))
        # At its own speed a segment starts on a frame: nothing needs blending.
        start = float(int(start)) if speed == 1 else start
        at = kept.start + (start + speed * np.arange(self.frames))
        return VariedSegment(clip, at, kept.stop - 1, self._audio(clip, start, speed))

    def _audio(self, clip: int, start: float, speed: float) -> np.ndarray:
        kept = self.usable[clip]
        at = start * SAMPLES_PER_FRAME + speed * (np.arange(self.samples) - self.margin)
        # Only the samples that are interpolated are read; silence lies beyond the clip's ends.
        end = len(kept) * SAMPLES_PER_FRAME
        low, high = np.clip([math.floor(at[0]), math.floor(at[-1]) + 2], 0, end).tolist()
        if low == high:
            return np.zeros(self.samples, np.float32)
        wav = self.clips.audio(clip, kept.start * SAMPLES_PER_FRAME + low, high - low)
        return np.interp(at, np.arange(low, high), wav, left=0, right=0).astype(np.float32)


def blend_frames(segment: VariedSegment, read: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Interpolate the frames of a segment linearly.

    Args:
        segment: the segment.
        read: maps the first frame and a count to values `(count, ...)`, one for each frame.

    Returns:
        `(T, ...)` float32.
    """
    before = np.minimum(np.floor(segment.at).astype(int), segment.last)
    after = np.minimum(before + 1, segment.last)
    first = int(before[0])
    values = read(first, int(after[-1]) + 1 - first).astype(np.float32)
    if (segment.at == before).all():
        return values[before - first]
    late = (segment.at - before).astype(np.float32)
    late = late.reshape(-1, *(1 for _ in values.shape[1:]))
    blend: np.ndarray = values[before - first] * (1 - late) + values[after - first] * late
    return blend


class MouthSequence(NamedTuple):
    """Greyscale frames `(T, S, S)` float32 in [0, 1], and audio `(N,)` at 16 kHz.

    The audio begins `margin` samples before the first frame.
    """

    grey: np.ndarray
    wav: np.ndarray


class MouthSequences:
    """Varied segments of mouth crops.

    Args:
        segments: of clips, in crops as they are stored.
        size: height and width of the greyscale frames.
    """

    def __init__(self, segments: VariedSegments, size: int = 64) -> None:
        self.segments, self.size = segments, size

    def __len__(self) -> int:
        return len(self.segments)

    def draw(self, index: int, rng: np.random.Generator) -> MouthSequence:
        """Draw a random segment of usable clip `index`, at a random speed."""
        segment = self.segments.draw(index, rng)

        def read(start: int, count: int) -> np.ndarray:
            crops = self.segments.clips.frames(segment.clip, start, count)
            return np.stack([self._grey(crop) for crop in crops])

        return MouthSequence(blend_frames(segment, read) / np.float32(255), segment.wav)

    def _grey(self, crop: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (self.size, self.size), interpolation=cv2.INTER_AREA)


class FaceSequence(NamedTuple):
    """Landmarks and mouths as a `MouthCache` has them, and audio.

    Args:
        landmarks: `(T, 62, 3)` float32, in the face's frame.
        mouths: greyscale frames `(T, S, S)` float32 in [0, 1].
        wav: `(N,)` at 16 kHz, from `margin` samples before the first frame.
    """

    landmarks: np.ndarray
    mouths: np.ndarray
    wav: np.ndarray


class FaceSequences:
    """Varied segments of landmarks and mouths.

    Args:
        segments: of clips, in crops of the kind `mesh`.
        cache: their landmarks and mouths.
    """

    def __init__(self, segments: VariedSegments, cache: MouthCache) -> None:
        self.segments, self.cache = segments, cache

    def __len__(self) -> int:
        return len(self.segments)

    def draw(self, index: int, rng: np.random.Generator) -> FaceSequence:
        """Draw a random segment of usable clip `index`, at a random speed."""
        segment = self.segments.draw(index, rng)
        crops = self.segments.clips.crop_files[segment.clip]
        landmarks = blend_frames(segment, partial(self.cache.landmarks, crops))
        mouths = blend_frames(segment, partial(self.cache.mouths, crops)) / np.float32(255)
        return FaceSequence(landmarks, mouths, segment.wav)


def _frames_with_audio(clips: ClipWindows, clip: int) -> range:
    """Return the frames of a clip whose audio lies inside it too."""
    kept = clips.starts(clip, 1, 0, SAMPLES_PER_FRAME)
    if not kept:
        shift_ms = 1000 * clips.leads[clip] / SAMPLE_RATE
        raise ValueError(
            f"clip {clips.rows[clip].id} of {clips.lengths[clip] / FPS:.1f} s "
            f"cannot move by {shift_ms:.0f} ms"
        )
    return kept
