"""Voices in company: one face's voice, accompaniment, and in some a second voice.

The levels are those of Montesinos, Kadandale and Haro, A cappella (BMVC 2021): each source is
brought to the same power, the target is raised by its level, and all are divided by the largest
sample of target and accompaniment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avsync.data.corpora.audio_files import AudioFile
from avsync.data.sampling.separation_targets import SeparationTargets


@dataclass(frozen=True)
class MixtureLevels:
    """How loud, and how often, what is mixed with a voice.

    Args:
        level_db: of the target over the accompaniment, drawn evenly from this range; published is
            0, or 0 to -12 in four steps.
        second_share: share of the mixtures with a second voice; published is a half.
        second_db: of the second voice over the target.
        music_share: share of the mixtures with accompaniment; what would be without either has
            accompaniment, or where there is none at all a second voice.
    """

    level_db: tuple[float, float] = (0.0, 0.0)
    second_share: float = 0.5
    second_db: tuple[float, float] = (0.0, 0.0)
    music_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("second_share", "music_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("level_db", "second_db"):
            low, high = getattr(self, name)
            if not -60 <= low <= high <= 60:
                raise ValueError(f"{name} must rise within -60 to 60 dB, got {low} to {high}")


class MixtureRow(NamedTuple):
    """All that a mixture is made of, by name: sources, where they begin, and levels in dB.

    `frame` is a video frame of the target's clip, and of the second's where that is a clip; `at`
    are samples of an audio file at the mixture's rate.
    """

    target: str
    frame: int
    accompaniment: str | None
    accompaniment_at: int
    second: str | None
    second_at: int
    level_db: float
    second_db: float


class Mixture(NamedTuple):
    """Sources `(N,)` float32 as they are added up, zeros where there is none; `place` is the
    target's among the faces.
    """

    target: np.ndarray
    accompaniment: np.ndarray
    second: np.ndarray
    place: int
    frame: int

    @property
    def audio(self) -> np.ndarray:
        """The sum `(N,)`."""
        return self.target + self.accompaniment + self.second


class Mixtures:
    """Draws mixtures, and makes those that a row describes.

    Args:
        faces: targets; clips that are shorter than a mixture are left out.
        music: accompaniments.
        voices: second voices besides those of the other faces.
        levels: how loud and how often.
        other_faces: voices of other clips may be second voices.

    ValueError where nothing could be mixed.
    """

    def __init__(
        self,
        faces: SeparationTargets,
        music: Sequence[AudioFile] = (),
        voices: Sequence[AudioFile] = (),
        levels: MixtureLevels | None = None,
        other_faces: bool = True,
    ) -> None:
        self.faces, self.spec = faces, faces.spec
        self.levels = levels or MixtureLevels()
        self.sounds = {each.name: each for each in (*music, *voices)}
        if len(self.sounds) < len(music) + len(voices):
            raise ValueError("folders of audio streams must have different names: files go by them")
        self.music = [each.name for each in music]
        self.usable = [k for k in range(len(faces)) if faces.lengths[k] >= self.spec.frames]
        if not self.usable:
            longest = max(faces.lengths, default=0)
            raise ValueError(
                f"clips must hold one of {self.spec.frames} frames or more, the longest has "
                f"{longest}: train on shorter chunks"
            )
        self.places = {faces.names[k]: k for k in range(len(faces))}
        others = [faces.names[k] for k in self.usable] if other_faces else []
        self.voices = [*others, *(each.name for each in voices)]
        self.seconds = len(self.voices) > (1 if others else 0)
        self._check()

    def draw(self, rng: np.random.Generator) -> MixtureRow:
        """Return a random mixture: any clip, any moment, any company."""
        levels = self.levels
        place = self.usable[int(rng.integers(len(self.usable)))]
        target = self.faces.names[place]
        frame = int(rng.integers(self.faces.lengths[place] - self.spec.frames + 1))
        # Drawn whether needed or not, so that other shares leave the rest of a draw as it is.
        chances = rng.random(2)
        level, second_level = rng.uniform(*levels.level_db), rng.uniform(*levels.second_db)
        with_music = bool(self.music) and chances[0] < levels.music_share
        with_second = self.seconds and chances[1] < levels.second_share
        if not with_music and not with_second:
            with_music, with_second = bool(self.music), not self.music
        music, music_at = self._sound(self.music, rng) if with_music else (None, 0)
        second, second_at = self._second(target, rng) if with_second else (None, 0)
        return MixtureRow(
            target, frame, music, music_at, second, second_at, float(level), float(second_level)
        )

    def make(self, row: MixtureRow) -> Mixture:
        """Return the mixture that a row describes; ValueError where a source is not among ours."""
        count = self.spec.samples
        place = self._place(row.target)
        target = self.faces.audio(place, row.frame, count)
        music = self._cut(row.accompaniment, row.accompaniment_at, count)
        second = self._cut(row.second, row.second_at, count)
        target = even(target) * np.float32(10 ** (row.level_db / 20))
        music = even(music)
        second = even(second) * np.float32(10 ** ((row.level_db + row.second_db) / 20))
        beside = music if row.accompaniment is not None else second
        loudest = np.float32(max(np.abs(target).max(), np.abs(beside).max()) or 1.0)
        return Mixture(target / loudest, music / loudest, second / loudest, place, row.frame)

    def check(self, rows: Iterable[MixtureRow]) -> None:
        """ValueError where a source of these mixtures is not among ours."""
        for row in rows:
            for name in (row.target, row.accompaniment, row.second):
                if name is not None and name not in self.sounds:
                    self._place(name)

    def frames(self, mixture: Mixture) -> np.ndarray:
        """Crops `(T, H, W, 3)` uint8 of the target's face."""
        return self.faces.frames(mixture.place, mixture.frame, self.spec.frames)

    def crop_files(self, rows: Iterable[MixtureRow] | None = None) -> list[str]:
        """Return the files of all crops that may be drawn, or of the targets of these mixtures."""
        if rows is None:
            return [self.faces.crop_file(place) for place in self.usable]
        places = {self._place(row.target) for row in rows}
        return [self.faces.crop_file(place) for place in sorted(places)]

    def _second(self, target: str, rng: np.random.Generator) -> tuple[str, int]:
        while True:
            name, at = self._sound(self.voices, rng)
            if name != target:
                return name, at

    def _sound(self, names: Sequence[str], rng: np.random.Generator) -> tuple[str, int]:
        """Return a random source and where it begins."""
        name = names[int(rng.integers(len(names)))]
        if name in self.places and name not in self.sounds:
            room = self.faces.lengths[self.places[name]] - self.spec.frames
        else:
            cache = self.faces.cache
            room = cache.samples(cache.of_file(self.sounds[name])) - self.spec.samples
        return name, int(rng.integers(max(room, 0) + 1))

    def _cut(self, name: str | None, at: int, count: int) -> np.ndarray:
        if name is None:
            return np.zeros(count, np.float32)
        if name in self.sounds:
            cache = self.faces.cache
            return cache.part(cache.of_file(self.sounds[name]), at, count)
        return self.faces.audio(self._place(name), at, count)

    def _place(self, name: str) -> int:
        if name not in self.places:
            raise ValueError(f"the mixture needs {name}, which is not among the sources given")
        return self.places[name]

    def _check(self) -> None:
        if self.levels.second_share and not self.seconds:
            raise ValueError("second_share must be 0 where there is no second voice to be had")
        if not self.music and not (self.seconds and self.levels.second_share):
            raise ValueError("mixtures need music or a second voice, got neither")


def even(wav: np.ndarray) -> np.ndarray:
    """At a power of 1, or silent as it was."""
    rms = float(np.sqrt(np.mean(np.square(wav, dtype=np.float64))))
    return wav / np.float32(rms) if rms else wav
