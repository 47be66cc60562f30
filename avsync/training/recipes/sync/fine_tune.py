"""Fine-tune any sync model on your own clips: `avsync train fine-tune --data STORE -o FOLDER`.

Only the contract of a sync task is used, so a model of your own is tuned like a released one.
"""

import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import nn

from avsync.atomic import write_text
from avsync.scoring.embeddings import SyncModel
from avsync.tasks.registry import create_model, load_checkpoint
from avsync.training.data.sync import ClipData, SyncValidation
from avsync.training.data.sync_batches import sequence_batches
from avsync.training.engine.checkpoint import save_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings
from avsync.training.steps.freezing import Encoders, freeze_encoders
from avsync.training.steps.sync import WindowMatchingStep

CLIPS = ClipData(data=REQUIRED, batch=8)
LOOP = LoopSettings(output=REQUIRED, steps=1000, lr=1e-4, warmup=50, ema=0.99, validate_every=200)
# Cosines differ by too little for a softmax; other scores have a scale of their own.
TEMPERATURES = {"lip_expert": 0.07, "perfect_match": 0.07}
FIGURES_FILE = "fine_tune.json"


@dataclass(frozen=True)
class FineTuneRecipe:
    """Tune a trained model: match each window to its own audio among those of its sequence.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        encoders: `frozen` trains only what follows the encoders, `last` also the last layer of
            each, `all` everything.
        windows: windows of a sequence, which are the candidates; a pair is expensive with VocaLiST
            and costs nothing with dense_sync.
        temperature: divides the scores, lower is sharper; by default 0.07 for models that compare
            by cosines, else 1.
    """

    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: str = "dense_sync"
    weights: Path | None = None
    encoders: Encoders = "last"
    windows: int = 21
    temperature: float | None = None


class TunedModel(NamedTuple):
    """A tuned model in eval mode, and its figures on the clips of `val` before and after."""

    model: nn.Module
    before: dict[str, float]
    after: dict[str, float]


def tune(model: nn.Module, recipe: FineTuneRecipe) -> TunedModel:
    """Tune any model with the contract of a sync task.

    The model itself is trained; the result is the average of its weights. The calibration of the
    model's scores is dropped from both.

    Args:
        model: the model.
        recipe: settings; its `model` matters only for the default temperature, `weights` not.
    """
    torch.manual_seed(recipe.loop.seed)
    # It was fitted on the scores of the old weights.
    model.calibration = None  # type: ignore[assignment]
    spec = cast(SyncModel, model).spec
    temperature = recipe.temperature or TEMPERATURES.get(recipe.model, 1.0)
    frozen = freeze_encoders(model, recipe.encoders)
    step = WindowMatchingStep(model, recipe.windows, temperature, frozen).train()
    validation = SyncValidation(recipe.clips, spec.window_frames)
    before = validation(deepcopy(step))
    batches = sequence_batches(recipe.clips, spec, recipe.windows)
    tuned = fit(step, batches, recipe.loop, step.chance, validation, validation.watch)
    return TunedModel(tuned.get_submodule("model").eval(), before, validation(tuned))


def train(recipe: FineTuneRecipe) -> Path:
    """Tune a released model, or resume the run; return the path of the weights.

    The figures before and after are written to `fine_tune.json`.
    """
    model = create_model(recipe.model, pretrained=recipe.weights is None, weights=recipe.weights)
    tuned = tune(model, recipe)
    figures = {"before": tuned.before, "after": tuned.after}
    write_text(recipe.loop.output / FIGURES_FILE, json.dumps(figures, indent=1) + "\n")
    config = load_checkpoint(recipe.model, recipe.weights).config
    task = nn.ModuleDict({"model": tuned.model})
    return save_model(recipe.loop.output, recipe.model, task, config)
