"""Training of separators: `avsync train ynet --data STORE --music FOLDER -o FOLDER`.

Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC 2021); with
VocaLiST's frozen visual encoder, Kadandale, Montesinos and Haro, VocaLiST (Interspeech 2022).
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import tyro

from avsync.data.cache.features import FeatureCache
from avsync.data.sampling.mixture_manifest import draw_rows, read_manifest, write_manifest
from avsync.data.sampling.mixtures import MixtureLevels, MixtureRow, Mixtures
from avsync.tasks.separation.unet import UNet
from avsync.training.data.mixtures import MixtureData, frozen_tokens, mixture_batches, open_mixtures
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.engine.settings import steady
from avsync.training.steps.mask import MaskStep, SeparationValidation, chance
from avsync.training.steps.separator_config import (
    MODELS,
    Kind,
    SeparationModel,
    describe_visual_encoder,
    load_visual_encoder,
    separator_config,
    trained_visual_encoder,
)

HELD_OUT_FILE = "held_out.jsonl"
# Every run is measured on the same mixtures, whatever its own seed.
HELD_OUT_SEED = 0
# SGD at one rate, as published: no schedule, no shortened gradients, no average of the weights. The
# best epochs were the 118th to the 1044th of 2000 steps; that of Y-Net-mr the 132nd.
PUBLISHED_LOOP = steady(
    264_000, 0.01, optimizer="sgd", momentum=0.8, weight_decay=1e-5, validate_every=2000
)


@dataclass(frozen=True)
class YNetRecipe:
    """Trains a U-Net or a Y-Net to find the mask of one face's voice.

    Args:
        clips: what to mix.
        loop: how long, how fast, where to.
        levels: how loud and how often music and second voices are.
        kind: `u-net` hears only; `m` sees the mouth with MC3-18's first stages, `g` the landmarks,
            `v` with VocaLiST's encoder, `s` with the lip expert's, `dense-sync` with dense_sync's;
            `llcp` is the Looking-to-Listen baseline, with VocaLiST's.
        visual: weights of the sync model whose visual encoder is taken; dense_sync's are shipped.
        end_to_end: an encoder of a sync model learns too; else it is frozen, and what it sees of
            each clip is worked out once.
        kinetics: `m` begins with what MC3-18 learnt of Kinetics-400, which is fetched.
        window_frames: `v` shows its eyes windows of so many frames, as VocaLiST was trained, and
            takes the middle token of each; 0 shows them all frames at once.
        width: of all that hears, as a multiple of the published one.
        visual_width: of a visual encoder without weights.
        seconds: of a mixture; published is 4.
        init: separator weights to start from instead of fresh ones; their sizes hold.
    """

    clips: Annotated[MixtureData, tyro.conf.arg(name="")]
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = PUBLISHED_LOOP
    levels: Annotated[MixtureLevels, tyro.conf.arg(name="")] = field(default_factory=MixtureLevels)
    kind: Kind = "v"
    visual: Path | None = None
    end_to_end: bool = False
    kinetics: bool = False
    window_frames: int = 0
    width: float = 1.0
    visual_width: float = 1.0
    seconds: int = 4
    init: Path | None = None


class Separator(NamedTuple):
    """A separator to be trained: its name in the registry, and the config that rebuilds it."""

    name: str
    model: SeparationModel
    config: dict[str, Any]

    @property
    def frozen(self) -> bool:
        """Whether what it sees can be worked out once."""
        return not isinstance(self.model, UNet) and self.model.frozen


def train(recipe: YNetRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    separator = start_separator(recipe)
    model, data = separator.model, recipe.clips
    mixtures = open_mixtures(data, recipe.levels, model.spec)
    held_out, rows = _held_out(recipe, model)
    features = None
    if separator.frozen:
        clips = mixtures.crop_files() + held_out.crop_files(rows)
        features = frozen_features(recipe, separator, clips)
    task = MaskStep(model, tokens=features is not None)
    batches = mixture_batches(mixtures, data.batch, features)
    measure = SeparationValidation(held_out, rows, features, data.batch)
    known = chance(task, batches, recipe.loop.seed)
    trained = fit(task, batches, recipe.loop, known, measure, measure.watch)
    return save_model(recipe.loop.output, separator.name, trained, separator.config)


def start_separator(recipe: YNetRecipe) -> Separator:
    """Return the separator of a recipe as it is before the first step."""
    eyes = None
    if recipe.init is None:
        eyes = trained_visual_encoder(recipe.kind, recipe.visual, recipe.kinetics)
    elif recipe.visual is not None or recipe.kinetics:
        raise ValueError("init has eyes of its own: give it without visual and kinetics")
    config = {}
    if recipe.init is None:
        config = separator_config(
            recipe.kind,
            recipe.width,
            recipe.visual_width,
            recipe.seconds,
            # As published: by three as soon as there may be a second voice.
            3 if recipe.levels.second_share else 2,
            recipe.end_to_end,
            eyes,
        )
        if recipe.kind == "v":
            config["window_frames"] = recipe.window_frames
        elif recipe.window_frames:
            raise ValueError(f"window_frames is for kind v, got kind {recipe.kind}")
    name = MODELS[recipe.kind]
    model, config = start_model(name, config, recipe.init)
    assert isinstance(model, SeparationModel)
    if eyes is not None:
        load_visual_encoder(model, eyes)
    return Separator(name, model, config)


def frozen_features(recipe: YNetRecipe, separator: Separator, clips: list[str]) -> FeatureCache:
    """Return what the frozen encoder of a separator sees of the clips, worked out where it is not yet."""
    model = separator.model
    assert not isinstance(model, UNet)
    about = describe_visual_encoder(separator.name, separator.config)
    folder = recipe.clips.cached / "features"
    return frozen_tokens(model.visual, about, model.spec, clips, folder, recipe.loop.device)


def _held_out(recipe: YNetRecipe, model: SeparationModel) -> tuple[Mixtures, list[MixtureRow]]:
    """Return what is measured on: the mixtures of a manifest, or of the split `val`, or none."""
    data, spec = recipe.clips, model.spec
    if data.held_out is not None:
        # A manifest says itself what it is made of: any clip and any audio.
        first = replace(
            data, data=data.data[:1], corpus_offset_ms=data.corpus_offset_ms[:1], splits=None
        )
        mixtures = open_mixtures(first, recipe.levels, spec)
        rows = read_manifest(data.held_out, spec)
        mixtures.check(rows)
    elif data.splits is not None:
        mixtures = open_mixtures(data, recipe.levels, spec, "val")
        rows = draw_rows(mixtures, data.validate_mixtures, HELD_OUT_SEED)
    else:
        return open_mixtures(data, recipe.levels, spec), []
    write_manifest(recipe.loop.output / HELD_OUT_FILE, rows, spec)
    return mixtures, rows
