"""Training of lip_mask: `avsync train lip-mask --data STORE... --music FOLDER -o FOLDER`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
import tyro

from avsync import weights as checkpoints
from avsync.data.cache.audio import AudioCache
from avsync.data.cache.features import FeatureCache
from avsync.data.corpora.audio_files import AudioFile, Split, audio_files_of_split, list_audio_files
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.data.sampling.two_speaker_mixtures import (
    NO_AUGMENTATION,
    MixtureAugmentation,
    TwoSpeakerMixture,
    TwoSpeakerMixtures,
)
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.tasks.separation.lip_mask import LipMask, LipMaskConfig, lip_mask_spec
from avsync.training.data.mixtures import frozen_tokens
from avsync.training.engine.checkpoint import start_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.steps.separator_config import load_visual_encoder, trained_visual_encoder
from avsync.training.steps.two_speaker import PairValidation, TwoSpeakerStep, chance, pair_batches
from avsync.weights import cache_folder

NAME = "lip_mask"
# Every run is measured on the same pairs, whatever its own seed: at other speeds, which makes
# two voices of one, and as they were recorded.
VALIDATION_SEED = 0
OTHER_SPEEDS = MixtureAugmentation((0.0, 0.0), 0.0, 0.0, (0.0, 0.0), 1.25, 0.0, 0.0, 0.0)
LOOP = LoopSettings(
    output=tyro.MISSING,
    steps=4000,
    lr=1.5e-3,
    warmup=200,
    decay=0.5,
    weight_decay=0.01,
    # A loss in decibels has gradients of some 40 at first.
    clip=30.0,
    ema=0.998,
)


@dataclass(frozen=True)
class LipMaskRecipe:
    """Trains lip_mask to tell two voices apart by their faces. Run again, it resumes.

    Args:
        data: stores of prepared clips to train on (`avsync prepare`): faces with their voices.
        loop: how long, how fast, where to.
        augmentation: interfering sources of the voices, and how voices and tokens are augmented.
        splits: JSON file of clip names by split, for the first store: `train` is trained on, `val`
            is measured on. Without it all clips are trained on and nothing is measured.
        share: share of the voices drawn from each store; by default as many clips as it has.
        corpus_offset_ms: constant offset of the clips of each store (positive = the audio leads),
            taken off the clips; 0 by default.
        music: folders of accompaniment, in any format; split by file as the faces are.
        cache: where resampled audio and frozen tokens are kept, else the user's cache folder.
        batch: mixtures per step, of two voices each.
        seconds: of a mixture.
        augment: voices stand in other rooms, before other microphones, and there is noise.
        validate_pairs: pairs that are measured on, of each kind.
        visual: weights of the dense_sync model to see with, in place of the released one.
        width: of all that hears, as a multiple of the released one.
        init: weights to start from instead of fresh ones; their sizes and eyes hold.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="STORE...")]
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    augmentation: Annotated[MixtureAugmentation, tyro.conf.arg(name="")] = field(
        default_factory=MixtureAugmentation
    )
    splits: Path | None = None
    share: tuple[float, ...] = ()
    corpus_offset_ms: Annotated[tuple[float, ...], tyro.conf.arg(aliases=["--zero-ms"])] = ()
    music: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER...")] = ()
    cache: Path | None = None
    batch: int = 4
    seconds: int = 2
    augment: bool = True
    validate_pairs: int = 24
    visual: Path | None = None
    width: float = 1.0
    init: Path | None = None

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("data must name at least one store of prepared clips, got none")
        for name in ("share", "corpus_offset_ms"):
            given = getattr(self, name)
            if given and len(given) != len(self.data):
                raise ValueError(f"{name} must have {len(self.data)} values, got {len(given)}")
        if self.batch < 1 or self.width <= 0 or self.validate_pairs < 0:
            raise ValueError(
                "batch must be 1 or more, width positive and validate_pairs 0 or more, "
                f"got {self.batch}, {self.width} and {self.validate_pairs}"
            )
        if self.init is not None and self.visual is not None:
            raise ValueError("init has eyes of its own: give it without visual")


def train(recipe: LipMaskRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights, in fp16."""
    torch.manual_seed(recipe.loop.seed)
    model, config = start(recipe)
    spec = lip_mask_spec(recipe.seconds, model.spec.width)
    faces = _faces(recipe, spec, "train")
    known = None if recipe.splits is None else _faces(recipe, spec, "val")
    features = _tokens(recipe, model, config, faces, known)
    pairs = TwoSpeakerMixtures(
        faces, features, _music(recipe, "train"), recipe.augmentation, _shares(recipe, faces)
    )
    measure = PairValidation(_held_out(recipe, known, features), recipe.batch)
    task, batches = TwoSpeakerStep(model), pair_batches(pairs, recipe.batch, recipe.augment)
    trained = fit(
        task, batches, recipe.loop, chance(task, batches, recipe.loop.seed), measure, measure.watch
    )
    path = recipe.loop.output / f"{NAME}.safetensors"
    checkpoints.save(path, trained.get_submodule("model").state_dict(), config, half=True)
    return path


def start(recipe: LipMaskRecipe) -> tuple[LipMask, dict[str, Any]]:
    """Return the model of a recipe as it is before the first step, and the config that rebuilds it."""
    if recipe.init is not None:
        model, config = start_model(NAME, {}, recipe.init)
        return cast(LipMask, model), config
    eyes = trained_visual_encoder("dense-sync", recipe.visual)
    assert eyes is not None
    sizes, width = LipMaskConfig(), recipe.width
    config = eyes.config | {
        "widths": tuple(max(1, round(width * each)) for each in sizes.widths),
        "joined_dim": max(1, round(width * sizes.joined_dim)),
    }
    model, config = start_model(NAME, config, None)
    load_visual_encoder(model, eyes)
    return cast(LipMask, model), config


def _faces(recipe: LipMaskRecipe, spec: SeparationSpec, split: Split) -> SeparationTargets:
    """Those that a split trains on or is measured on: `val` is of the first store alone."""
    sources = []
    for number, path in enumerate(recipe.data if split == "train" else recipe.data[:1]):
        store = Store(path)
        places = clips_of_split(store, recipe.splits if number == 0 else None, split)
        offset_ms = recipe.corpus_offset_ms[number] if recipe.corpus_offset_ms else 0.0
        sources.append(FaceSource(store, places, offset_ms))
    return SeparationTargets(sources, spec, AudioCache(_cache(recipe) / "sounds", spec.sample_rate))


def _tokens(
    recipe: LipMaskRecipe,
    model: LipMask,
    config: dict[str, Any],
    *faces: SeparationTargets | None,
) -> FeatureCache:
    clips = [each.crop_file(k) for each in faces if each is not None for k in range(len(each))]
    about = {name: config[name] for name in ("dim", "mouth_channels", "crop_size")}
    folder = _cache(recipe) / "features"
    return frozen_tokens(
        model.visual, about | {"unit": True}, model.spec, clips, folder, recipe.loop.device
    )


def _music(recipe: LipMaskRecipe, split: Split) -> list[AudioFile]:
    found = [audio for folder in recipe.music for audio in list_audio_files(folder)]
    if recipe.splits is None or not found:
        return found
    return audio_files_of_split(found, split)


def _shares(recipe: LipMaskRecipe, faces: SeparationTargets) -> list[float] | None:
    """Return the share of each clip among the draws, so that each store has its own."""
    if not recipe.share:
        return None
    of_store = [number for number, _ in faces.origins]
    counts = np.bincount(of_store, minlength=len(recipe.data))
    return [recipe.share[number] / counts[number] for number in of_store]


def _held_out(
    recipe: LipMaskRecipe, faces: SeparationTargets | None, features: FeatureCache
) -> dict[str, list[TwoSpeakerMixture]]:
    if faces is None or not recipe.validate_pairs:
        return {}
    sets = {}
    for name, augmentation in (("", OTHER_SPEEDS), ("_as_recorded", NO_AUGMENTATION)):
        pairs = TwoSpeakerMixtures(faces, features, (), augmentation)
        seeds = [(VALIDATION_SEED, k) for k in range(recipe.validate_pairs)]
        sets[name] = [pairs.draw(np.random.default_rng(seed)) for seed in seeds]
    return sets


def _cache(recipe: LipMaskRecipe) -> Path:
    return recipe.cache or cache_folder()
