"""Mix a target voice with accompaniment and, in some mixtures, a second voice.

The levels are those of Montesinos, Kadandale and Haro, A cappella (BMVC 2021): each source is
normalised to the same power, the target is raised by its level, and all are divided by the largest
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
    """Levels and shares of what is mixed with a target voice.

    Args:
        level_db: of the target over the accompaniment, uniform in this range; published is 0, or 0
            to -12 in four steps.
        second_share: share of the mixtures with a second voice; published is a half.
        second_db: level of the second voice over the target, uniform in this range.
        music_share: share of the mixtures with accompaniment. A mixture that would have neither
            gets accompaniment, or a second voice if there is no music at all.
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
    """Recipe of a mixture: names of its sources, where they begin, and levels in dB.

    `frame` is a video frame of the target's clip. `second_at` is one too if the second voice is a
    clip; otherwise it and `accompaniment_at` are samples of an audio file at the mixture's rate.
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
    """Sources `(N,)` float32 of a mixture at their levels, zeros for a source that it lacks.

    `face` is the index of the target among the faces, `frame` the first video frame.
    """

    target: np.ndarray
    accompaniment: np.ndarray
    second: np.ndarray
    face: int
    frame: int

    @property
    def audio(self) -> np.ndarray:
        """The mixture `(N,)`."""
        return self.target + self.accompaniment + self.second


class Mixtures:
    """Random mixtures, and the mixture that a row describes.

    Args:
        faces: targets; clips that are shorter than a mixture are left out.
        music: accompaniments.
        voices: second voices besides those of the other faces.
        levels: levels and shares.
        other_faces: use voices of other clips as second voices.

    Raises:
        ValueError: nothing could be mixed, no clip is long enough, or two files share a name.
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
        self.audio_files = {file.name: file for file in (*music, *voices)}
        if len(self.audio_files) < len(music) + len(voices):
            raise ValueError("folders of audio files must have different names: files go by them")
        self.music = [file.name for file in music]
        self.usable = [k for k in range(len(faces)) if faces.lengths[k] >= self.spec.frames]
        if not self.usable:
            longest = max(faces.lengths, default=0)
            raise ValueError(
                f"clips must hold one of {self.spec.frames} frames or more, the longest has "
                f"{longest}: train on shorter chunks"
            )
        self.face_indices = {faces.names[k]: k for k in range(len(faces))}
        others = [faces.names[k] for k in self.usable] if other_faces else []
        self.voices = [*others, *(file.name for file in voices)]
        self.has_second_voices = len(self.voices) > (1 if others else 0)
        if self.levels.second_share and not self.has_second_voices:
            raise ValueError("second_share must be 0 where there is no second voice to be had")
        if not music and not (self.has_second_voices and self.levels.second_share):
            raise ValueError("mixtures need music or a second voice, got neither")

    def draw(self, rng: np.random.Generator) -> MixtureRow:
        """Draw a random mixture: any clip, any position, any other sources."""
        levels = self.levels
        face = self.usable[int(rng.integers(len(self.usable)))]
        target = self.faces.names[face]
        frame = int(rng.integers(self.faces.lengths[face] - self.spec.frames + 1))
        # Drawn even if not used, so that other shares do not change the rest of a draw.
        chances = rng.random(2)
        level, second_level = rng.uniform(*levels.level_db), rng.uniform(*levels.second_db)
        with_music = bool(self.music) and chances[0] < levels.music_share
        with_second = self.has_second_voices and chances[1] < levels.second_share
        if not with_music and not with_second:
            with_music, with_second = bool(self.music), not self.music
        music, music_at = self._draw_source(self.music, rng) if with_music else (None, 0)
        second, second_at = self._draw_second(target, rng) if with_second else (None, 0)
        return MixtureRow(
            target, frame, music, music_at, second, second_at, float(level), float(second_level)
        )

    def make(self, row: MixtureRow) -> Mixture:
        """Make the mixture that a row describes; ValueError if a source is unknown."""
        count = self.spec.samples
        face = self._face_index(row.target)
        target = self.faces.audio(face, row.frame, count)
        music = self._read(row.accompaniment, row.accompaniment_at, count)
        second = self._read(row.second, row.second_at, count)
        target = normalize_power(target) * np.float32(10 ** (row.level_db / 20))
        music = normalize_power(music)
        second = normalize_power(second) * np.float32(10 ** ((row.level_db + row.second_db) / 20))
        other = music if row.accompaniment is not None else second
        peak = np.float32(max(np.abs(target).max(), np.abs(other).max()) or 1.0)
        return Mixture(target / peak, music / peak, second / peak, face, row.frame)

    def check(self, rows: Iterable[MixtureRow]) -> None:
        """Raise ValueError if a source of these mixtures is unknown."""
        for row in rows:
            for name in (row.target, row.accompaniment, row.second):
                if name is not None and name not in self.audio_files:
                    self._face_index(name)

    def frames(self, mixture: Mixture) -> np.ndarray:
        """Return crops `(T, H, W, 3)` uint8 of the target's face."""
        return self.faces.frames(mixture.face, mixture.frame, self.spec.frames)

    def crop_files(self, rows: Iterable[MixtureRow] | None = None) -> list[str]:
        """Return the files of all crops that may be drawn, or of the targets of these mixtures."""
        if rows is None:
            return [self.faces.crop_file(face) for face in self.usable]
        targets = {self._face_index(row.target) for row in rows}
        return [self.faces.crop_file(face) for face in sorted(targets)]

    def _draw_second(self, target: str, rng: np.random.Generator) -> tuple[str, int]:
        while True:
            name, at = self._draw_source(self.voices, rng)
            if name != target:
                return name, at

    def _draw_source(self, names: Sequence[str], rng: np.random.Generator) -> tuple[str, int]:
        """Return the name of a random source and where it begins."""
        name = names[int(rng.integers(len(names)))]
        if name in self.face_indices and name not in self.audio_files:
            room = self.faces.lengths[self.face_indices[name]] - self.spec.frames
        else:
            cache = self.faces.cache
            room = cache.num_samples(cache.add_file(self.audio_files[name])) - self.spec.samples
        return name, int(rng.integers(max(room, 0) + 1))

    def _read(self, name: str | None, at: int, count: int) -> np.ndarray:
        if name is None:
            return np.zeros(count, np.float32)
        if name in self.audio_files:
            cache = self.faces.cache
            return cache.read(cache.add_file(self.audio_files[name]), at, count)
        return self.faces.audio(self._face_index(name), at, count)

    def _face_index(self, name: str) -> int:
        if name not in self.face_indices:
            raise ValueError(f"the mixture needs {name}, which is not among the sources given")
        return self.face_indices[name]


def normalize_power(wav: np.ndarray) -> np.ndarray:
    """Scale a waveform to a power of 1; silence is returned as it is."""
    rms = float(np.sqrt(np.mean(np.square(wav, dtype=np.float64))))
    return wav / np.float32(rms) if rms else wav
