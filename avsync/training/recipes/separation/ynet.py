"""Recipe of mask separators: `avsync train ynet --data STORE --music FOLDER -o FOLDER`.

Source: Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC
2021); with VocaLiST's frozen visual encoder, Kadandale, Montesinos and Haro, VocaLiST (Interspeech
2022).
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from avsync.data.cache.features import FeatureCache
from avsync.data.sampling.mixture_manifest import draw_rows, read_manifest, write_manifest
from avsync.data.sampling.mixtures import MixtureLevels, MixtureRow, Mixtures
from avsync.tasks.separation.unet import UNet
from avsync.training.data.mixtures import MixtureData, frozen_tokens, mixture_batches, open_mixtures
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import FlagsOf, LoopSettings, constant_rate
from avsync.training.steps.mask import MaskStep, SeparationValidation, mask_chance
from avsync.training.steps.separator_config import (
    MODELS,
    Kind,
    SeparationModel,
    describe_visual_encoder,
    load_visual_encoder,
    make_separator_config,
    pretrained_visual_encoder,
)

HELD_OUT_FILE = "held_out.jsonl"
# Every run is measured on the same mixtures, whatever its own seed.
HELD_OUT_SEED = 0
# SGD with one learning rate, as published. The best epochs were the 118th to the 1044th of 2000
# steps; that of Y-Net-mr the 132nd.
LOOP = replace(
    constant_rate(264_000, 0.01, optimizer="sgd", validate_every=2000),
    momentum=0.8,
    weight_decay=1e-5,
)


@dataclass(frozen=True)
class YNetRecipe:
    """Train a U-Net or a Y-Net to estimate the mask of one face's voice.

    Args:
        clips: sources of the mixtures.
        loop: length, optimiser and output.
        levels: levels and shares of music and second voices.
        kind: `u-net` has no video; `m` has MC3-18's first stages for the mouth, `g` a graph network
            for landmarks, `v` VocaLiST's visual encoder, `s` the lip expert's, `dense-sync`
            dense_sync's; `llcp` is the Looking-to-Listen baseline, with VocaLiST's.
        visual: weights of the sync model whose visual encoder is used; dense_sync's are shipped.
        end_to_end: train the encoder of a sync model as well; else it is frozen, and the tokens of
            each clip are computed once.
        kinetics: `m` starts with MC3-18's weights of Kinetics-400, which are downloaded.
        window_frames: `v` encodes windows of this many frames, as VocaLiST was trained, and uses
            the middle token of each; 0 encodes all frames at once.
        width: of the audio network, as a multiple of the published one.
        visual_width: of a visual encoder without weights.
        seconds: length of a mixture; published is 4.
        init: separator weights to start from instead of fresh ones; their sizes apply.
    """

    clips: FlagsOf[MixtureData]
    loop: FlagsOf[LoopSettings] = LOOP
    levels: FlagsOf[MixtureLevels] = field(default_factory=MixtureLevels)
    kind: Kind = "v"
    visual: Path | None = None
    end_to_end: bool = False
    kinetics: bool = False
    window_frames: int = 0
    width: float = 1.0
    visual_width: float = 1.0
    seconds: int = 4
    init: Path | None = None


class InitialSeparator(NamedTuple):
    """A separator before the first step.

    Args:
        name: its name in the registry.
        model: the separator.
        config: config that rebuilds it.
    """

    name: str
    model: SeparationModel
    config: dict[str, Any]

    @property
    def frozen(self) -> bool:
        """Whether its visual tokens can be computed once and cached."""
        return not isinstance(self.model, UNet) and self.model.frozen


def train(recipe: YNetRecipe) -> Path:
    """Train the separator, or resume the run; return the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    separator = start_separator(recipe)
    model, data = separator.model, recipe.clips
    mixtures = open_mixtures(data, recipe.levels, model.spec)
    held_out, rows = _held_out(recipe, model)
    features = None
    if separator.frozen:
        clips = mixtures.crop_files() + held_out.crop_files(rows)
        features = frozen_features(recipe, separator, clips)
    step = MaskStep(model, tokens=features is not None)
    batches = mixture_batches(mixtures, data.batch, features)
    validation = SeparationValidation(held_out, rows, features, data.batch)
    chance = mask_chance(step, batches, recipe.loop.seed)
    trained = fit(step, batches, recipe.loop, chance, validation, validation.watch)
    return save_model(recipe.loop.output, separator.name, trained, separator.config)


def start_separator(recipe: YNetRecipe) -> InitialSeparator:
    """Build the separator of a recipe as it is before the first step."""
    visual, config = None, {}
    if recipe.init is None:
        visual = pretrained_visual_encoder(recipe.kind, recipe.visual, recipe.kinetics)
        config = make_separator_config(
            recipe.kind,
            recipe.width,
            recipe.visual_width,
            recipe.seconds,
            # As published: three sources as soon as there may be a second voice.
            3 if recipe.levels.second_share else 2,
            recipe.end_to_end,
            visual,
        )
        if recipe.kind == "v":
            config["window_frames"] = recipe.window_frames
        elif recipe.window_frames:
            raise ValueError(f"window_frames is for kind v, got kind {recipe.kind}")
    elif recipe.visual is not None or recipe.kinetics:
        raise ValueError("init has its own visual encoder: give it without visual and kinetics")
    start = start_model(MODELS[recipe.kind], config, recipe.init)
    if visual is not None:
        load_visual_encoder(start.model, visual)
    return InitialSeparator(start.name, start.model, start.config)


def frozen_features(
    recipe: YNetRecipe, separator: InitialSeparator, clips: list[str]
) -> FeatureCache:
    """Return the visual tokens of clips, encoding those that are not cached."""
    model = separator.model
    assert not isinstance(model, UNet)
    about = describe_visual_encoder(separator.name, separator.config)
    folder = recipe.clips.cached / "features"
    return frozen_tokens(model.visual, about, model.spec, clips, folder, recipe.loop.device)


def _held_out(recipe: YNetRecipe, model: SeparationModel) -> tuple[Mixtures, list[MixtureRow]]:
    """Return the mixtures that are measured on: of a manifest, of the split `val`, or none."""
    data, spec = recipe.clips, model.spec
    if data.held_out is not None:
        # A manifest names its sources itself: any clip and any audio file.
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
