"""Mix two talking faces and their voices, with augmented speed, timing and visual tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from avsync.audio.resampling import resample
from avsync.data.cache.features import FeatureCache
from avsync.data.corpora.audio_files import AudioFile
from avsync.data.sampling.mixtures import normalize_power
from avsync.data.sampling.separation_targets import SeparationTargets

# Speeds are multiples of a fiftieth: few resampling filters, in steps that are not audible.
SPEEDS = 50


@dataclass(frozen=True)
class MixtureAugmentation:
    """The interfering sources of a voice, and how voices and visual tokens are augmented.

    Args:
        second_db: level of the second voice over the first, uniform in this range.
        alone_share: share of the mixtures in which the second voice is silent.
        music_share: share of the mixtures with music.
        music_db: its level over the first voice, uniform in this range.
        speed: a clip is played up to this factor faster or slower, audio and lips by the same
            factor, which gives higher and lower voices. 1 turns it off.
        jitter: the video is up to this many frames early or late.
        blur: noise of up to this length is added to the tokens, which have length 1: faces that
            are seen less clearly.
        held_share: share of the faces that stand still for up to half of the time.
    """

    second_db: tuple[float, float] = (-5.0, 5.0)
    alone_share: float = 0.1
    music_share: float = 0.3
    music_db: tuple[float, float] = (-5.0, 5.0)
    speed: float = 1.25
    jitter: float = 1.0
    blur: float = 0.5
    held_share: float = 0.15

    def __post_init__(self) -> None:
        for name in ("alone_share", "music_share", "held_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.speed < 1 or min(self.jitter, self.blur) < 0:
            raise ValueError(
                "speed must be 1 or more, jitter and blur 0 or more, "
                f"got {self.speed}, {self.jitter} and {self.blur}"
            )


# Two voices as they were recorded, equally loud, without music.
NO_AUGMENTATION = MixtureAugmentation((0.0, 0.0), 0.0, 0.0, (0.0, 0.0), 1.0, 0.0, 0.0, 0.0)


class TwoSpeakerMixture(NamedTuple):
    """Tokens `(2, T, D)` of two faces, their voices `(2, N)` and music `(N,)`.

    Voices and music have a power of 1 or are silent; the levels, in dB over the first voice, are
    not applied yet.
    """

    tokens: np.ndarray
    voices: np.ndarray
    music: np.ndarray
    second_db: float
    music_db: float


class TwoSpeakerMixtures:
    """Random mixtures of segments of two clips, at random speeds.

    Args:
        faces: clips; those shorter than a chunk are left out.
        features: tokens of all their crops.
        music: music that may be added.
        augmentation: interfering sources, speeds and degradations.
        shares: probability of each clip, up to a common factor; equal by default.

    Raises:
        ValueError: there are no two clips that are long enough.
    """

    def __init__(
        self,
        faces: SeparationTargets,
        features: FeatureCache,
        music: Sequence[AudioFile] = (),
        augmentation: MixtureAugmentation | None = None,
        shares: Sequence[float] | None = None,
    ) -> None:
        self.faces, self.features, self.music = faces, features, list(music)
        self.augmentation, self.spec = augmentation or MixtureAugmentation(), faces.spec
        usable = [k for k in range(len(faces)) if faces.lengths[k] >= self.spec.frames]
        if len(usable) < 2:
            longest = max(faces.lengths, default=0)
            raise ValueError(
                f"clips must hold two of {self.spec.frames} frames or more, got {len(usable)} of "
                f"{len(faces)}; the longest has {longest}"
            )
        self.usable = np.array(usable)
        weights = np.ones(len(faces)) if shares is None else np.asarray(shares, np.float64)
        self.shares = weights[self.usable] / weights[self.usable].sum()

    def draw(self, rng: np.random.Generator) -> TwoSpeakerMixture:
        """Draw a mixture of two different clips."""
        augmentation = self.augmentation
        clips = rng.choice(self.usable, 2, replace=False, p=self.shares)
        drawn = [self._draw_face(int(clip), rng) for clip in clips]
        voices = np.stack([normalize_power(voice) for _, voice in drawn])
        if rng.random() < augmentation.alone_share:
            voices[1] = 0
        music = np.zeros(self.spec.samples, np.float32)
        if self.music and rng.random() < augmentation.music_share:
            music = normalize_power(self._draw_music(rng))
        levels = rng.uniform(*augmentation.second_db), rng.uniform(*augmentation.music_db)
        return TwoSpeakerMixture(np.stack([tokens for tokens, _ in drawn]), voices, music, *levels)

    def _draw_face(self, clip: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens `(T, D)` and voice `(N,)` of a random segment of a clip."""
        frames, jitter = self.spec.frames, self.augmentation.jitter
        limit = math.log(self.augmentation.speed)
        steps = round(SPEEDS * math.exp(rng.uniform(-limit, limit)))
        if math.ceil(frames * steps / SPEEDS) > self.faces.lengths[clip]:
            steps = SPEEDS
        length = math.ceil(frames * steps / SPEEDS)
        start = int(rng.integers(self.faces.lengths[clip] - length + 1))
        # Tokens around the segment are read too, for video that is early or late.
        low = max(0, start - math.ceil(jitter))
        high = min(self.faces.lengths[clip], start + length + math.ceil(jitter))
        cached = self.features.tokens(self.faces.crop_file(clip), low, high - low)
        # The middle of a frame is half a frame after its start, at every speed.
        at = start - low + (np.arange(frames) + 0.5) * steps / SPEEDS - 0.5
        at += rng.uniform(-jitter, jitter)
        tokens = self._degrade(_interpolate(np.asarray(cached, np.float32), at), rng)
        return tokens, self._read_voice(clip, start, steps)

    def _read_voice(self, clip: int, start: int, steps: int) -> np.ndarray:
        count = self.spec.samples
        wav = self.faces.audio(clip, start, math.ceil(count * steps / SPEEDS))
        if steps == SPEEDS:
            return wav
        return resample(torch.from_numpy(wav.copy()), steps, SPEEDS).numpy()[:count]

    def _degrade(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Hold and blur tokens `(T, D)`, and normalise them to length 1."""
        augmentation, frames = self.augmentation, len(tokens)
        if rng.random() < augmentation.held_share:
            held = int(rng.integers(1, max(2, frames // 2)))
            begin = int(rng.integers(frames - held + 1))
            tokens[begin : begin + held] = tokens[begin]
        noise = rng.standard_normal(tokens.shape).astype(np.float32) / math.sqrt(tokens.shape[1])
        tokens = tokens + np.float32(rng.uniform(0, augmentation.blur)) * noise
        return tokens / np.maximum(np.linalg.norm(tokens, axis=1, keepdims=True), 1e-6)

    def _draw_music(self, rng: np.random.Generator) -> np.ndarray:
        cache, count = self.faces.cache, self.spec.samples
        cached = cache.add_file(self.music[int(rng.integers(len(self.music)))])
        at = int(rng.integers(max(cache.num_samples(cached) - count, 0) + 1))
        return cache.read(cached, at, count)


def _interpolate(tokens: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate tokens `(L, D)` at positions `(T,)`; beyond the ends the last one is held."""
    at = np.clip(at, 0, len(tokens) - 1)
    low = np.minimum(at.astype(int), max(len(tokens) - 2, 0))
    high = np.minimum(low + 1, len(tokens) - 1)
    share = (at - low).astype(np.float32)[:, None]
    return tokens[low] * (1 - share) + tokens[high] * share
