"""Who says or sings what in a clip: mouths at any time and the sound of any passage, from a
seed."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from avsync.synthetic.articulation import Articulation, articulate, fidget
from avsync.synthetic.lips import Pose
from avsync.synthetic.utterance import PASSAGE_S, Manner, Mode, Score, draw_utterances
from avsync.synthetic.voice import Voice, room_noise, speak

# Clips begin up to this far into their first passage, so that not all of them begin with a rest.
_LATEST_START_S = 2.0


class Act(NamedTuple):
    """One person's part of a passage."""

    score: Score
    articulation: Articulation


class Performance:
    """The people of a clip and everything they say; passages are made when they are asked for, the
    last two are kept.

    Args:
        seed: the same seed gives the same performance.
        mode: what they do.
        faces: how many they are.
    """

    def __init__(self, seed: int, mode: Mode, faces: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self.seed, self.mode, self.faces = seed, mode, faces
        self.voices = tuple(Voice.draw(rng) for _ in range(faces))
        self.manners = tuple(Manner.draw(rng, voice.pitch_hz) for voice in self.voices)
        self.expressiveness = rng.uniform(0.65, 1.25, faces) * (1.3 if mode == "singing" else 1.0)
        # The one who is heard; None where they take turns.
        self.lead = int(rng.integers(faces)) if faces == 1 or rng.random() < 0.5 else None
        self.start_s = round(float(rng.uniform(0, _LATEST_START_S)), 2)
        self._kept: dict[int, tuple[Act, ...]] = {}

    def acts(self, passage: int) -> tuple[Act, ...]:
        """The parts of a passage, one per person."""
        if passage not in self._kept:
            while len(self._kept) > 1:
                self._kept.pop(next(iter(self._kept)))
            self._kept[passage] = self._perform(passage)
        return self._kept[passage]

    def mouth(self, face: int, time_s: float) -> Pose:
        """The mouth of a person at a time of the clip: the very trajectory that its sound is made
        from."""
        passage, within = divmod(time_s + self.start_s, PASSAGE_S)
        state = self.acts(int(passage))[face].articulation.mouth.at(np.array([within]))
        return Pose(*(float(channel[0]) for channel in state))

    def speaks(self, face: int, time_s: float) -> bool:
        """Whether a person is the one heard at a time of the clip (short pauses inside words
        apart)."""
        passage, within = divmod(time_s + self.start_s, PASSAGE_S)
        sounds = self.acts(int(passage))[face].score.sounds
        return any(
            s.start_s <= within < s.end_s and s.name not in ("rest", "inhale") for s in sounds
        )

    def sound(self, sample_rate: int) -> Iterator[np.ndarray]:
        """The clip's sound from its time 0 on, without end, in blocks `(n,)` of at most a passage,
        float32."""
        skip = round(self.start_s * sample_rate)
        passage = 0
        while True:
            yield self._mix(passage, sample_rate)[skip:]
            passage, skip = passage + 1, 0

    def _perform(self, passage: int) -> tuple[Act, ...]:
        rng = np.random.default_rng([self.seed, 2, passage])
        scores = draw_utterances(rng, self.manners, self.mode, self.lead)
        acts = []
        for face, score in enumerate(scores):
            style = (self.manners[face], float(self.expressiveness[face]))
            articulation = articulate(score, *style, rng)
            if self.lead is not None and face != self.lead:
                articulation = articulation._replace(mouth=fidget(articulation.mouth, rng))
            acts.append(Act(score, articulation))
        return tuple(acts)

    def _mix(self, passage: int, sample_rate: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 3, passage])
        voices = zip(self.acts(passage), self.voices, strict=True)
        parts = [speak(act.articulation, voice, sample_rate, rng) for act, voice in voices]
        mixed = sum(parts) + room_noise(self.voices[0], sample_rate, rng)
        return np.clip(mixed, -1, 1).astype(np.float32)


_WAVES = 5
# Blinks repeat after this many; nobody will notice.
_BLINKS = 400


class HeadPose(NamedTuple):
    """Shift as a share of the face's room in the picture, scale factor, angles in radians, eyes and
    brows."""

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


class Motion:
    """One person's habit of moving.

    Args:
        rng: draws the habit; afterwards the motion depends on time only.
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
        self.steady = rng.normal(0, (0.05, 0.03, 0.0, 0.05, 0.09, 0.06, 0.4, 0.3, 0.5))
        self.blinks = np.cumsum(rng.gamma(2.0, 1.8, _BLINKS) + 0.3)

    def at(self, time_s: float) -> HeadPose:
        """The pose at a time of the clip."""
        waves = self.amplitude * np.sin(2 * np.pi * self.hz * time_s + self.phase)
        value = self.steady + waves.sum(1)
        value = np.clip(value, *_LIMITS)
        now = time_s % self.blinks[-1]
        since = now - self.blinks[max(np.searchsorted(self.blinks, now) - 1, 0)]
        shut = np.clip(1 - abs(since - 0.09) / 0.09, 0, 1) if since > 0 else 0.0
        x, y, scale, roll, yaw, pitch, gaze_x, gaze_y, brow = (float(v) for v in value)
        eyes = float(1 - min(1.6 * shut, 1))
        return HeadPose(x, y, 1 + scale, roll, yaw, pitch, eyes, gaze_x, gaze_y, brow)


_LIMITS = (
    np.array([-0.12, -0.07, -0.15, -0.22, -0.26, -0.18, -3, -1.5, -1.5]),
    np.array([0.12, 0.07, 0.15, 0.22, 0.26, 0.18, 3, 1.5, 3.5]),
)
