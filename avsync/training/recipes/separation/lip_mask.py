"""Recipe of lip_mask: `avsync train lip-mask --data STORE... --music FOLDER -o FOLDER`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from avsync.data.cache.features import FeatureCache
from avsync.data.corpora.audio_files import AudioFile, Split, audio_files_of_split, list_audio_files
from avsync.data.sampling.separation_targets import SeparationTargets
from avsync.data.sampling.two_speaker_mixtures import (
    NO_AUGMENTATION,
    MixtureAugmentation,
    TwoSpeakerMixture,
    TwoSpeakerMixtures,
)
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.tasks.separation.lip_mask import LipMaskConfig, lip_mask_spec
from avsync.training.data.mixtures import audio_cache, face_sources, frozen_tokens
from avsync.training.engine.checkpoint import InitialModel, save_model, start_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings
from avsync.training.steps.separator_config import (
    load_visual_encoder,
    pretrained_visual_encoder,
    scaled,
)
from avsync.training.steps.two_speaker import (
    TwoSpeakerStep,
    TwoSpeakerValidation,
    two_speaker_batches,
    two_speaker_chance,
)
from avsync.weights import cache_folder

NAME = "lip_mask"
# Every run is measured on the same mixtures, whatever its own seed: at other speeds, which makes
# two voices of one, and as they were recorded.
VALIDATION_SEED = 0
OTHER_SPEEDS = MixtureAugmentation((0.0, 0.0), 0.0, 0.0, (0.0, 0.0), 1.25, 0.0, 0.0, 0.0)
LOOP = LoopSettings(
    output=REQUIRED,
    steps=4000,
    lr=1.5e-3,
    warmup=200,
    decay=0.5,
    weight_decay=0.01,
    # A loss in decibels has gradients of about 40 at first.
    clip=30.0,
    ema=0.998,
)


@dataclass(frozen=True)
class LipMaskRecipe:
    """Train lip_mask to separate two voices by their faces.

    Args:
        data: stores of prepared clips to train on (`avsync prepare`): faces with their voices.
        loop: length, optimiser and output.
        augmentation: interfering sources of the voices, and how voices and tokens are augmented.
        splits: JSON file of clip names by split, for the first store: `train` is trained on, `val`
            is measured on. Without it all clips are trained on and nothing is measured.
        share: share of the voices drawn from each store; by default proportional to its clips.
        corpus_offset_ms: constant offset of the clips of each store (positive = the audio leads),
            taken off the clips; 0 by default.
        music: folders of accompaniment, in any format; split by file as the faces are.
        cache: folder of resampled audio and frozen tokens; by default in the user's cache.
        batch: mixtures per step, of two voices each.
        seconds: length of a mixture.
        augment: augment voices with other rooms, microphones and noise.
        validate_pairs: mixtures that are measured on, of each kind.
        visual: weights of the dense_sync model whose visual encoder is used, instead of the
            released one.
        width: of the audio network, as a multiple of the released one.
        init: weights to start from instead of fresh ones; their sizes and visual encoder apply.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="STORE...")]
    loop: FlagsOf[LoopSettings] = LOOP
    augmentation: FlagsOf[MixtureAugmentation] = field(default_factory=MixtureAugmentation)
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
            raise ValueError("init has its own visual encoder: give it without visual")


def train(recipe: LipMaskRecipe) -> Path:
    """Train lip_mask, or resume the run; return the path of the weights, in fp16."""
    torch.manual_seed(recipe.loop.seed)
    start = start_lip_mask(recipe)
    spec = lip_mask_spec(recipe.seconds, start.model.spec.width)
    faces = _faces(recipe, spec, "train")
    held_out_faces = None if recipe.splits is None else _faces(recipe, spec, "val")
    features = _tokens(recipe, start, faces, held_out_faces)
    music, shares = _music(recipe, "train"), _clip_shares(recipe, faces)
    mixtures = TwoSpeakerMixtures(faces, features, music, recipe.augmentation, shares)
    held_out = _held_out(recipe, held_out_faces, features)
    validation = TwoSpeakerValidation(held_out, recipe.batch)
    step = TwoSpeakerStep(start.model)
    batches = two_speaker_batches(mixtures, recipe.batch, recipe.augment)
    chance = two_speaker_chance(step, batches, recipe.loop.seed)
    trained = fit(step, batches, recipe.loop, chance, validation, validation.watch)
    return save_model(recipe.loop.output, NAME, trained, start.config, half=True)


def start_lip_mask(recipe: LipMaskRecipe) -> InitialModel:
    """Build the model of a recipe as it is before the first step."""
    if recipe.init is not None:
        return start_model(NAME, {}, recipe.init)
    visual = pretrained_visual_encoder("dense-sync", recipe.visual)
    assert visual is not None
    sizes = LipMaskConfig()
    config = visual.config | {
        "widths": scaled(sizes.widths, recipe.width),
        "joined_dim": scaled([sizes.joined_dim], recipe.width)[0],
    }
    start = start_model(NAME, config, None)
    load_visual_encoder(start.model, visual)
    return start


def _faces(recipe: LipMaskRecipe, spec: SeparationSpec, split: Split) -> SeparationTargets:
    """Return the faces of a split; `val` is of the first store alone."""
    stores = recipe.data if split == "train" else recipe.data[:1]
    sources = face_sources(stores, recipe.splits, split, recipe.corpus_offset_ms)
    return SeparationTargets(sources, spec, audio_cache(_cache(recipe), spec))


def _tokens(
    recipe: LipMaskRecipe, start: InitialModel, *faces: SeparationTargets | None
) -> FeatureCache:
    clips = [f.crop_file(k) for f in faces if f is not None for k in range(len(f))]
    about = {name: start.config[name] for name in ("dim", "mouth_channels", "crop_size")}
    model, folder = start.model, _cache(recipe) / "features"
    return frozen_tokens(
        model.visual, about | {"unit": True}, model.spec, clips, folder, recipe.loop.device
    )


def _music(recipe: LipMaskRecipe, split: Split) -> list[AudioFile]:
    found = [audio for folder in recipe.music for audio in list_audio_files(folder)]
    if recipe.splits is None or not found:
        return found
    return audio_files_of_split(found, split)


def _clip_shares(recipe: LipMaskRecipe, faces: SeparationTargets) -> list[float] | None:
    """Return the share of the draws of each clip, so that each store has the share it should."""
    if not recipe.share:
        return None
    stores = [number for number, _ in faces.origins]
    counts = np.bincount(stores, minlength=len(recipe.data))
    return [recipe.share[number] / counts[number] for number in stores]


def _held_out(
    recipe: LipMaskRecipe, faces: SeparationTargets | None, features: FeatureCache
) -> dict[str, list[TwoSpeakerMixture]]:
    if faces is None or not recipe.validate_pairs:
        return {}
    sets = {}
    for suffix, augmentation in (("", OTHER_SPEEDS), ("_as_recorded", NO_AUGMENTATION)):
        mixtures = TwoSpeakerMixtures(faces, features, (), augmentation)
        seeds = [(VALIDATION_SEED, k) for k in range(recipe.validate_pairs)]
        sets[suffix] = [mixtures.draw(np.random.default_rng(seed)) for seed in seeds]
    return sets


def _cache(recipe: LipMaskRecipe) -> Path:
    return recipe.cache or cache_folder()
