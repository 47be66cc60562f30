"""Which voices, faces and music a separation recipe trains on, and which it is measured on."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Generator, Tensor, nn

from avsync.data.cache.audio import AudioCache
from avsync.data.cache.features import FeatureCache, encoder_key
from avsync.data.corpora.audio_files import (
    AudioFile,
    Split,
    audio_files_of_split,
    list_audio_files,
    list_mir1k,
)
from avsync.data.sampling.mixtures import Mixture, MixtureLevels, Mixtures
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.training.data.sync import as_frames
from avsync.training.engine.loop import MakeBatch
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
        cache: where resampled audio and frozen features are kept, else the user's cache folder.
        batch: mixtures per step.
        validate_mixtures: mixtures that are measured on, the same for every run.
        held_out: a manifest of mixtures to measure on instead, of any clips of the first store and
            any of these audio streams.
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
    """Return what a split is mixed of: `val` and `test` are of the first store alone.

    Without `splits` there are all clips in all of them, and all audio streams in `train`.
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
    sounds = AudioCache(data.cached / "sounds", spec.sample_rate)
    faces = SeparationTargets(sources, spec, sounds, data.landmarks)
    chosen = None if data.splits is None and split == "train" else split
    music = [audio for folder in data.music for audio in _of(list_audio_files(folder), chosen)]
    voices = [audio for folder in data.voices for audio in _of(list_audio_files(folder), chosen)]
    if data.mir1k is not None:
        music += _of(list_mir1k(data.mir1k, "music"), chosen)
        voices += _of(list_mir1k(data.mir1k, "voice"), chosen)
    return Mixtures(faces, music, voices, levels, data.other_faces)


def _of(sounds: list[AudioFile], split: Split | None) -> list[AudioFile]:
    return sounds if split is None else audio_files_of_split(sounds, split)


def mixture_batches(
    mixtures: Mixtures, batch: int, features: FeatureCache | None = None
) -> MakeBatch:
    """Make batches for `fit`: see `collated`.

    Args:
        mixtures: what to draw.
        batch: how many together.
        features: tokens of a frozen encoder in place of frames, of every clip.
    """

    def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
        drawn = [mixtures.make(mixtures.draw(rng)) for _ in range(batch)]
        return collated(mixtures, drawn, features)

    return make_batch


def collated(
    mixtures: Mixtures, drawn: Sequence[Mixture], features: FeatureCache | None = None
) -> tuple[Tensor, ...]:
    """Mixtures as one batch: what is seen, then second voices, accompaniments and targets `(B, N)`.

    Seen are frames `(B, 3, T, H, W)` uint8, tokens `(B, T, D)` float32 where there are features,
    or landmarks `(B, 2, T, 68)`; nothing where the task looks at no face. The targets come last,
    so that their audio is what a contact sheet shows.
    """
    sounds = tuple(
        torch.from_numpy(np.stack([getattr(each, name) for each in drawn]))
        for name in ("second", "accompaniment", "target")
    )
    return (*_seen(mixtures, drawn, features), *sounds)


def _seen(
    mixtures: Mixtures, drawn: Sequence[Mixture], features: FeatureCache | None
) -> tuple[Tensor, ...]:
    spec, faces = mixtures.spec, mixtures.faces
    if not spec.uses_video:
        return ()
    if spec.landmarks:
        points = [faces.landmarks(each.face, each.frame, spec.frames) for each in drawn]
        return (torch.from_numpy(np.stack(points)).permute(0, 3, 1, 2),)
    if features is None:
        return (as_frames([mixtures.frames(each) for each in drawn]),)
    tokens = [
        features.tokens(faces.crop_file(each.face), each.frame, spec.frames) for each in drawn
    ]
    return (torch.from_numpy(np.stack(tokens)).float(),)


def frozen_tokens(
    visual: nn.Module,
    about: Mapping[str, Any],
    spec: SeparationSpec,
    clips: Sequence[str],
    folder: Path,
    device: str = "auto",
) -> FeatureCache:
    """Return the tokens of all clips, worked out where they are not in the folder yet.

    Args:
        visual: the frozen encoder; it comes back on the CPU.
        about: what its builder was told.
        spec: geometry of the crops.
        clips: their files.
        folder: where they are kept.
        device: `cpu`, else the GPU where there is one.
    """
    from rich.console import Console
    from rich.progress import track

    cache = FeatureCache(folder, encoder_key(visual, about), spec)
    place = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    shown = track(
        clips,
        "frozen features",
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    cache.fill(shown, visual.to(place), place)
    visual.cpu()
    return cache
