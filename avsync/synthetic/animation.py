"""Animate the people of a clip from a seed: mouth and head poses at any time, and the audio."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from avsync.synthetic.articulation import Articulation, add_idle_motion, articulate
from avsync.synthetic.lips import MouthPose
from avsync.synthetic.utterance import (
    PASSAGE_S,
    Mode,
    PhonePlan,
    SpeakingStyle,
    draw_phone_plans,
)
from avsync.synthetic.voice import SyntheticVoice, room_noise, synthesize_voice

# Clips start up to this far into their first passage, so that not all of them start with a rest.
_LATEST_START_S = 2.0
# Sine waves that each channel of the head's motion is a sum of.
_WAVES = 5
# Number of blinks after which their times repeat.
_BLINKS = 400
# Limits of shift_x, shift_y, scale, roll, yaw, pitch, gaze_x, gaze_y, brow.
_LIMITS = (
    np.array([-0.12, -0.07, -0.15, -0.22, -0.26, -0.18, -3, -1.5, -1.5]),
    np.array([0.12, 0.07, 0.15, 0.22, 0.26, 0.18, 3, 1.5, 3.5]),
)


class AnimatedPassage(NamedTuple):
    """One person's passage: its phones, and the articulation that mouth and voice follow."""

    plan: PhonePlan
    articulation: Articulation


class Animation:
    """The people of a clip and all they say: mouth poses at any time, and the audio.

    Passages are animated when they are needed; the last two are kept.

    Args:
        seed: the same seed gives the same animation.
        mode: whether they speak or sing.
        faces: number of people.
    """

    def __init__(self, seed: int, mode: Mode, faces: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self.seed, self.mode, self.faces = seed, mode, faces
        self.voices = tuple(SyntheticVoice.draw(rng) for _ in range(faces))
        self.styles = tuple(SpeakingStyle.draw(rng, voice.pitch_hz) for voice in self.voices)
        self.expressiveness = rng.uniform(0.65, 1.25, faces) * (1.3 if mode == "singing" else 1.0)
        # The only person who speaks; None where they take turns.
        self.lead = int(rng.integers(faces)) if faces == 1 or rng.random() < 0.5 else None
        self.start_s = round(float(rng.uniform(0, _LATEST_START_S)), 2)
        self._cache: dict[int, tuple[AnimatedPassage, ...]] = {}

    def passage(self, index: int) -> tuple[AnimatedPassage, ...]:
        """Return every person's part of a passage."""
        if index not in self._cache:
            while len(self._cache) > 1:
                self._cache.pop(next(iter(self._cache)))
            self._cache[index] = self._animate(index)
        return self._cache[index]

    def mouth(self, face: int, time_s: float) -> MouthPose:
        """Return a person's mouth at a time of the clip, from the trajectory of its audio."""
        index, within_s = divmod(time_s + self.start_s, PASSAGE_S)
        state = self.passage(int(index))[face].articulation.mouth.at(np.array([within_s]))
        return MouthPose(*(float(channel[0]) for channel in state))

    def speaks(self, face: int, time_s: float) -> bool:
        """Return whether a person speaks at a time of the clip; closures inside words count."""
        index, within_s = divmod(time_s + self.start_s, PASSAGE_S)
        return any(
            phone.start_s <= within_s < phone.end_s and phone.name not in ("rest", "inhale")
            for phone in self.passage(int(index))[face].plan.phones
        )

    def audio(self, sample_rate: int) -> Iterator[np.ndarray]:
        """Yield the clip's audio from its time 0 on, without end.

        Blocks are `(n,)` float32 of at most a passage.
        """
        skip = round(self.start_s * sample_rate)
        index = 0
        while True:
            yield self._mix(index, sample_rate)[skip:]
            index, skip = index + 1, 0

    def _animate(self, index: int) -> tuple[AnimatedPassage, ...]:
        rng = np.random.default_rng([self.seed, 2, index])
        plans = draw_phone_plans(rng, self.styles, self.mode, self.lead)
        passages = []
        for face, plan in enumerate(plans):
            style, expressiveness = self.styles[face], float(self.expressiveness[face])
            articulation = articulate(plan, style, expressiveness, rng)
            if self.lead is not None and face != self.lead:
                articulation = articulation._replace(mouth=add_idle_motion(articulation.mouth, rng))
            passages.append(AnimatedPassage(plan, articulation))
        return tuple(passages)

    def _mix(self, index: int, sample_rate: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 3, index])
        people = zip(self.passage(index), self.voices, strict=True)
        waveforms = [
            synthesize_voice(passage.articulation, voice, sample_rate, rng)
            for passage, voice in people
        ]
        mixed = sum(waveforms) + room_noise(self.voices[0], sample_rate, rng)
        return np.clip(mixed, -1, 1).astype(np.float32)


class HeadPose(NamedTuple):
    """The pose of a head, its eyes and brows.

    `shift_x`, `shift_y` are fractions of the space that the face may move in, `scale` is a factor,
    `roll`, `yaw`, `pitch` are in radians, `eyes_open` is in [0, 1], `gaze_x`, `gaze_y` and
    `brow_mm` are in millimetres.
    """

    shift_x: float
    shift_y: float
    scale: float
    roll: float
    yaw: float
    pitch: float
    eyes_open: float
    gaze_x: float
    gaze_y: float
    brow_mm: float


class HeadMotion:
    """One person's way of moving head, eyes and brows: sums of sine waves, and blinks.

    Args:
        rng: draws the motion's parameters; afterwards it depends on time only.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        energy = rng.choice((0.15, 0.6, 1.0, 1.6))
        # shift_x, shift_y, scale, roll, yaw, pitch, gaze_x, gaze_y, brow
        reach = np.array([0.05, 0.03, 0.04, 0.06, 0.13, 0.09, 0, 0, 0.8]) * energy
        reach[6:8] = 1.2, 0.5
        self.amplitude = reach[:, None] * rng.normal(0, 0.5, (9, _WAVES))
        self.hz = rng.uniform(0.05, 0.7, (9, _WAVES))
        self.hz[8] *= 1.5
        self.phase = rng.uniform(0, 2 * np.pi, (9, _WAVES))
        self.mean = rng.normal(0, (0.05, 0.03, 0.0, 0.05, 0.09, 0.06, 0.4, 0.3, 0.5))
        self.blinks_s = np.cumsum(rng.gamma(2.0, 1.8, _BLINKS) + 0.3)

    def at(self, time_s: float) -> HeadPose:
        """Return the pose at a time of the clip."""
        waves = self.amplitude * np.sin(2 * np.pi * self.hz * time_s + self.phase)
        value = self.mean + waves.sum(1)
        value = np.clip(value, *_LIMITS)
        now_s = time_s % self.blinks_s[-1]
        since_s = now_s - self.blinks_s[max(np.searchsorted(self.blinks_s, now_s) - 1, 0)]
        shut = np.clip(1 - abs(since_s - 0.09) / 0.09, 0, 1) if since_s > 0 else 0.0
        x, y, scale, roll, yaw, pitch, gaze_x, gaze_y, brow = (float(v) for v in value)
        eyes_open = float(1 - min(1.6 * shut, 1))
        return HeadPose(x, y, 1 + scale, roll, yaw, pitch, eyes_open, gaze_x, gaze_y, brow)
