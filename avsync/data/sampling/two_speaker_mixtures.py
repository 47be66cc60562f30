"""Two faces that speak at once, each its own voice, at other speeds than they were recorded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from avsync.audio.features import resample
from avsync.data.cache.features import FeatureCache
from avsync.data.corpora.audio_files import AudioFile
from avsync.data.sampling.mixtures import even
from avsync.data.sampling.separation_targets import SeparationTargets

# Speeds are multiples of a fiftieth: few filters, and no one hears between them.
SPEEDS = 50


@dataclass(frozen=True)
class Company:
    """What a voice is heard with, and how both are altered.

    Args:
        second_db: level of the second voice over the first, drawn evenly from this range.
        alone_share: share of the mixtures in which the second face says nothing that is heard.
        music_share: share of the mixtures with music.
        music_db: its level over the first voice.
        speed: a clip is played up to this factor faster or slower, audio and lips alike: other
            voices, as high or low as a child's or a giant's. 1 turns it off.
        jitter: lips are up to so many frames early or late.
        blur: tokens are turned by noise of up to this length: faces that are seen worse.
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


# Two voices as they were recorded, equally loud.
PLAIN = Company((0.0, 0.0), 0.0, 0.0, (0.0, 0.0), 1.0, 0.0, 0.0, 0.0)


class TwoSpeakerMixture(NamedTuple):
    """Tokens `(2, T, D)` of two faces and their voices `(2, N)`, at a power of 1 each or silent,
    with music `(N,)` likewise; levels in dB over the first voice are still to be given.
    """

    tokens: np.ndarray
    voices: np.ndarray
    music: np.ndarray
    second_db: float
    music_db: float


class TwoSpeakerMixtures:
    """Draws two clips, anywhere in them, at any speed.

    Args:
        faces: clips; those shorter than a chunk are left out.
        features: tokens of all their crops.
        music: what may be heard besides.
        company: see there.
        shares: of each clip among the draws, alike where not given.

    ValueError where there are no two clips.
    """

    def __init__(
        self,
        faces: SeparationTargets,
        features: FeatureCache,
        music: Sequence[AudioFile] = (),
        company: Company | None = None,
        shares: Sequence[float] | None = None,
    ) -> None:
        self.faces, self.features, self.music = faces, features, list(music)
        self.company, self.spec = company or Company(), faces.spec
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
        """Two clips as the company says."""
        company = self.company
        places = rng.choice(self.usable, 2, replace=False, p=self.shares)
        drawn = [self._face(int(place), rng) for place in places]
        voices = np.stack([even(voice) for _, voice in drawn])
        if rng.random() < company.alone_share:
            voices[1] = 0
        music = np.zeros(self.spec.samples, np.float32)
        if self.music and rng.random() < company.music_share:
            music = even(self._music(rng))
        levels = rng.uniform(*company.second_db), rng.uniform(*company.music_db)
        return TwoSpeakerMixture(np.stack([tokens for tokens, _ in drawn]), voices, music, *levels)

    def _face(self, clip: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Tokens `(T, D)` and voice `(N,)` of a stretch of a clip."""
        company, frames = self.company, self.spec.frames
        limit = math.log(company.speed)
        steps = round(SPEEDS * math.exp(rng.uniform(-limit, limit)))
        if math.ceil(frames * steps / SPEEDS) > self.faces.lengths[clip]:
            steps = SPEEDS
        span = math.ceil(frames * steps / SPEEDS)
        start = int(rng.integers(self.faces.lengths[clip] - span + 1))
        # Those around the stretch as well, for lips that are early or late.
        low = max(0, start - math.ceil(company.jitter))
        high = min(self.faces.lengths[clip], start + span + math.ceil(company.jitter))
        known = self.features.tokens(self.faces.crop_file(clip), low, high - low)
        # The middle of a frame is half a frame after its start, at every speed.
        at = start - low + (np.arange(frames) + 0.5) * steps / SPEEDS - 0.5
        at += rng.uniform(-company.jitter, company.jitter)
        tokens = self._worse(_between(np.asarray(known, np.float32), at), rng)
        return tokens, self._voice(clip, start, steps)

    def _voice(self, clip: int, start: int, steps: int) -> np.ndarray:
        count = self.spec.samples
        wav = self.faces.audio(clip, start, math.ceil(count * steps / SPEEDS))
        if steps == SPEEDS:
            return wav
        return resample(torch.from_numpy(wav.copy()), steps, SPEEDS).numpy()[:count]

    def _worse(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Tokens `(T, D)` of a face that is seen worse, of length 1."""
        company, frames = self.company, len(tokens)
        if rng.random() < company.held_share:
            still = int(rng.integers(1, max(2, frames // 2)))
            begin = int(rng.integers(frames - still + 1))
            tokens[begin : begin + still] = tokens[begin]
        noise = rng.standard_normal(tokens.shape).astype(np.float32) / math.sqrt(tokens.shape[1])
        tokens = tokens + np.float32(rng.uniform(0, company.blur)) * noise
        return tokens / np.maximum(np.linalg.norm(tokens, axis=1, keepdims=True), 1e-6)

    def _music(self, rng: np.random.Generator) -> np.ndarray:
        cache, count = self.faces.cache, self.spec.samples
        kept = cache.of_file(self.music[int(rng.integers(len(self.music)))])
        at = int(rng.integers(max(cache.samples(kept) - count, 0) + 1))
        return cache.part(kept, at, count)


def _between(tokens: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Tokens `(T, D)` at places between those of `(L, D)`; beyond the ends the last one."""
    at = np.clip(at, 0, len(tokens) - 1)
    low = np.minimum(at.astype(int), max(len(tokens) - 2, 0))
    high = np.minimum(low + 1, len(tokens) - 1)
    late = (at - low).astype(np.float32)[:, None]
    return tokens[low] * (1 - late) + tokens[high] * late
