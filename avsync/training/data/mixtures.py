"""Training data of the separation recipes: faces with their voices, music and second voices."""

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
from avsync.training.engine.batches import MakeBatch
from avsync.weights import cache_folder


@dataclass(frozen=True)
class MixtureData:
    """Faces with their voices, what they are mixed with, and the size of a batch.

    Music and second voices are split as the faces are: by folders `train` and `val` where there
    are such, else by file, and MIR-1K by singer. Without `splits` all is trained on.

    Args:
        data: stores of prepared clips (`avsync prepare`): faces, and the voices to be separated.
        splits: JSON file of clip names by split, for the first store: `train` is trained on,
            mixtures of `val` are measured on. Without it nothing is measured.
        corpus_offset_ms: constant offset of the clips of each store (positive = the audio leads),
            taken off the clips; 0 by default.
        landmarks: folder of `CLIP.npz`, by clip id, for models that take landmarks.
        music: folders of accompaniment, in any format.
        mir1k: folder of MIR-1K, whose left channels are accompaniment and right ones second voices.
        voices: folders of second voices.
        other_faces: use voices of other clips as second voices too.
        cache: folder of resampled audio and frozen features; by default in the user's cache.
        batch: mixtures per step.
        validate_mixtures: mixtures that are measured on, the same for every run.
        held_out: manifest of mixtures to measure on instead, of any clips of the first store and
            any of these audio files.
        val: name of the split that is measured on in `splits`; Acappella's is `val_seen`.
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
        """The folder of resampled audio and frozen features."""
        return self.cache or cache_folder()


def open_mixtures(
    data: MixtureData, levels: MixtureLevels, spec: SeparationSpec, split: Split = "train"
) -> Mixtures:
    """Open the sources of a split; `val` and `test` are of the first store alone.

    Without `splits`, every split has all clips, and `train` has all audio files.

    Args:
        data: stores and folders.
        levels: levels and shares of the sources.
        spec: input spec of the model.
        split: the split.

    Raises:
        ValueError: there is no store, or nothing could be mixed.
    """
    if not data.data:
        raise ValueError("data must name at least one store of prepared clips, got none")
    split_name = data.val if split == "val" else split
    stores = data.data if split == "train" else data.data[:1]
    sources = face_sources(stores, data.splits, split_name, data.corpus_offset_ms)
    faces = SeparationTargets(sources, spec, audio_cache(data.cached, spec), data.landmarks)
    # Without splits, all audio files are trained on.
    chosen = None if data.splits is None and split == "train" else split
    music = [audio for folder in data.music for audio in _of(list_audio_files(folder), chosen)]
    voices = [audio for folder in data.voices for audio in _of(list_audio_files(folder), chosen)]
    if data.mir1k is not None:
        music += _of(list_mir1k(data.mir1k, "music"), chosen)
        voices += _of(list_mir1k(data.mir1k, "voice"), chosen)
    return Mixtures(faces, music, voices, levels, data.other_faces)


def face_sources(
    stores: Sequence[Path], splits: Path | None, split: str, offsets_ms: Sequence[float]
) -> list[FaceSource]:
    """Open the clips of a split of each store.

    Args:
        stores: folders of prepared clips.
        splits: JSON file of clip names by split, for the first store; None selects all clips.
        split: name of the split in that file.
        offsets_ms: constant offset of the clips of each store; empty for none.
    """
    sources = []
    for number, path in enumerate(stores):
        store = Store(path)
        indices = clips_of_split(store, splits if number == 0 else None, split)
        sources.append(FaceSource(store, indices, offsets_ms[number] if offsets_ms else 0.0))
    return sources


def audio_cache(folder: Path, spec: SeparationSpec) -> AudioCache:
    """Open the cache of audio resampled to a task's rate, in a folder of caches."""
    return AudioCache(folder / "sounds", spec.sample_rate)


def _of(files: list[AudioFile], split: Split | None) -> list[AudioFile]:
    return files if split is None else audio_files_of_split(files, split)


def mixture_batches(
    mixtures: Mixtures, batch: int, features: FeatureCache | None = None
) -> MakeBatch:
    """Make batches of mixtures, in the form of `collate_mixtures`.

    Args:
        mixtures: sources of the mixtures.
        batch: mixtures per batch.
        features: tokens of a frozen encoder for every clip, which replace its frames.
    """

    def make_batch(rng: np.random.Generator, _: Generator) -> tuple[Tensor, ...]:
        drawn = [mixtures.make(mixtures.draw(rng)) for _ in range(batch)]
        return collate_mixtures(mixtures, drawn, features)

    return make_batch


def collate_mixtures(
    mixtures: Mixtures, drawn: Sequence[Mixture], features: FeatureCache | None = None
) -> tuple[Tensor, ...]:
    """Collate mixtures as one batch: video, second voices, accompaniments and targets `(B, N)`.

    Video is frames `(B, 3, T, H, W)` uint8, tokens `(B, T, D)` float32 if there are features, or
    landmarks `(B, 2, T, 68)`; it is left out for tasks without video. The targets come last, so
    that the contact sheet shows their audio.
    """
    audio = tuple(
        torch.from_numpy(np.stack([getattr(mixture, name) for mixture in drawn]))
        for name in ("second", "accompaniment", "target")
    )
    return (*_video(mixtures, drawn, features), *audio)


def _video(
    mixtures: Mixtures, drawn: Sequence[Mixture], features: FeatureCache | None
) -> tuple[Tensor, ...]:
    spec, faces = mixtures.spec, mixtures.faces
    if not spec.uses_video:
        return ()
    if spec.landmarks:
        points = [faces.landmarks(m.face, m.frame, spec.frames) for m in drawn]
        return (torch.from_numpy(np.stack(points)).permute(0, 3, 1, 2),)
    if features is None:
        return (as_frames([mixtures.frames(mixture) for mixture in drawn]),)
    tokens = [features.tokens(faces.crop_file(m.face), m.frame, spec.frames) for m in drawn]
    return (torch.from_numpy(np.stack(tokens)).float(),)


def frozen_tokens(
    visual: nn.Module,
    about: Mapping[str, Any],
    spec: SeparationSpec,
    clips: Sequence[str],
    folder: Path,
    device: str = "auto",
) -> FeatureCache:
    """Encode clips with a frozen encoder, except those whose tokens are cached already.

    Args:
        visual: the encoder; it is moved back to the CPU.
        about: arguments that the encoder was built with, for the key of the cache.
        spec: geometry of the crops.
        clips: files of the crops.
        folder: folder of the cache.
        device: `cpu`, else the GPU if there is one.

    Returns:
        The cache, with the tokens of all clips.
    """
    from rich.console import Console
    from rich.progress import track

    cache = FeatureCache(folder, encoder_key(visual, about), spec)
    used = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    tracked = track(
        clips,
        "frozen features",
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    cache.fill(tracked, visual.to(used), used)
    visual.cpu()
    return cache
