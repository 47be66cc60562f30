"""Which voices, faces and music a separation recipe trains on, and which it is measured on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from avsync.data.face_voices import FaceSource, FaceVoices
from avsync.data.mixtures import MixtureLevels, Mixtures
from avsync.data.sound_cache import SoundCache
from avsync.data.sounds import SoundFile, Split, list_mir1k, list_sounds, sounds_of_split
from avsync.data.splits import clips_of_split
from avsync.data.store import Store
from avsync.tasks.separation_spec import SeparationSpec
from avsync.weights import cache_folder


@dataclass(frozen=True)
class MixtureData:
    """Faces with their voices, what they are mixed with, and what a batch takes of it.

    Music and second voices are split as the faces are: the folders `train` and `val` where there
    are such, else by file, MIR-1K by singer. Without `splits` all is trained on.

    Args:
        data: stores of prepared clips (`avsync prepare`): faces, and the voices to be separated.
        splits: JSON file of clip names by split, for the first store: `train` is trained on,
            mixtures of `val` are measured on. Without it nothing is measured.
        corpus_offset_ms: constant offset of the clips of each store (positive = the audio leads),
            taken off the clips; 0 by default.
        landmarks: folder of `CLIP.npz`, by clip id, for models that see landmarks.
        music: folders of accompaniment, in any format.
        mir1k: folder of MIR-1K, whose left channels are accompaniment and right ones second voices.
        voices: folders of second voices.
        other_faces: voices of other clips are second voices too.
        cache: where resampled sound and frozen features are kept, else the user's cache folder.
        batch: mixtures per step.
        validate_mixtures: mixtures that are measured on, the same for every run.
        held_out: a manifest of mixtures to measure on instead, of any clips of the first store and
            any of these sounds.
        val: what the split that is measured on is called in `splits`; Acappella's is `val_seen`.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="STORE...")]
    splits: Path | None = None
    corpus_offset_ms: Annotated[tuple[float, ...], tyro.conf.arg(aliases=["--zero-ms"])] = ()
    landmarks: Path | None = None
    music: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER...")] = ()
    mir1k: Path | None = None
    voices: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER...")] = ()
    other_faces: bool = True
    cache: Path | None = None
    batch: int = 10
    validate_mixtures: int = 50
    held_out: Path | None = None
    val: str = "val"

    def __post_init__(self) -> None:
        if self.batch < 1 or self.validate_mixtures < 0:
            raise ValueError(
                "batch must be 1 or more and validate_mixtures 0 or more, "
                f"got {self.batch} and {self.validate_mixtures}"
            )
        if self.corpus_offset_ms and len(self.corpus_offset_ms) != len(self.data):
            raise ValueError(
                f"corpus_offset_ms must have {len(self.data)} values, "
                f"got {len(self.corpus_offset_ms)}"
            )

    @property
    def cached(self) -> Path:
        """The folder of what is worked out once."""
        return self.cache or cache_folder()


def open_mixtures(
    data: MixtureData, levels: MixtureLevels, spec: SeparationSpec, split: Split = "train"
) -> Mixtures:
    """What a split is mixed of: `val` and `test` are of the first store alone.

    Without `splits` there are all clips in all of them, and all sounds in `train`.
    """
    if not data.data:
        raise ValueError("data must name at least one store of prepared clips, got none")
    sources = []
    for number, path in enumerate(data.data if split == "train" else data.data[:1]):
        store = Store(path)
        called = data.val if split == "val" else split
        places = clips_of_split(store, data.splits if number == 0 else None, called)
        offset_ms = data.corpus_offset_ms[number] if data.corpus_offset_ms else 0.0
        sources.append(FaceSource(store, places, offset_ms))
    sounds = SoundCache(data.cached / "sounds", spec.sample_rate)
    faces = FaceVoices(sources, spec, sounds, data.landmarks)
    chosen = None if data.splits is None and split == "train" else split
    music = [sound for folder in data.music for sound in _of(list_sounds(folder), chosen)]
    voices = [sound for folder in data.voices for sound in _of(list_sounds(folder), chosen)]
    if data.mir1k is not None:
        music += _of(list_mir1k(data.mir1k, "music"), chosen)
        voices += _of(list_mir1k(data.mir1k, "voice"), chosen)
    return Mixtures(faces, music, voices, levels, data.other_faces)


def _of(sounds: list[SoundFile], split: Split | None) -> list[SoundFile]:
    return sounds if split is None else sounds_of_split(sounds, split)
