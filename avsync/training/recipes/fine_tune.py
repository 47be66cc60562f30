"""Fine-tuning of any sync model on your own clips: `avsync train fine-tune --data STORE -o FOLDER`.

By the contract of a sync task alone, so that a model of yours is tuned as a released one is.
"""

import json
import math
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import tyro
from einops import rearrange
from torch import Tensor, nn

from avsync import weights as checkpoints
from avsync.atomic import write_text
from avsync.losses.info_nce import InfoNceLoss
from avsync.scoring.embeddings import each
from avsync.tasks.registry import PRETRAINED, create_model, model_card
from avsync.training.data.sync import ClipData, Validation
from avsync.training.data.sync_batches import sequence_batches, starts_s
from avsync.training.engine.checkpoint import save_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.steps.freezing import Encoders, freeze

CLIPS = ClipData(data=tyro.MISSING, batch=8)
LOOP = LoopSettings(
    output=tyro.MISSING, steps=1000, lr=1e-4, warmup=50, ema=0.99, validate_every=200
)
# Cosines differ by too little for a softmax; other scores have a scale of their own.
TEMPERATURES = {"lip_expert": 0.07, "perfect_match": 0.07}
FIGURES_FILE = "fine_tune.json"


@dataclass(frozen=True)
class FineTuneRecipe:
    """Tunes a trained model: each window must find its own audio among those of its stretch.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: a name that `avsync models` lists.
        weights: a checkpoint of that model instead of the released one.
        encoders: `frozen` trains what joins them only, `last` the last layer of each as well,
            `all` everything.
        windows: of a stretch, and so candidates; a pair costs VocaLiST much and dense_sync nothing.
        temperature: divides the scores, lower is sharper; by default 0.07 for models that compare
            by cosines, else 1.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    model: str = "dense_sync"
    weights: Path | None = None
    encoders: Encoders = "last"
    windows: int = 21
    temperature: float | None = None


class Tuned(NamedTuple):
    """A tuned model in eval mode, and its figures on the clips of `val` before and after."""

    model: nn.Module
    before: dict[str, float]
    after: dict[str, float]


class WindowMatching(nn.Module):
    """A sync task with its loss: one training step's forward pass.

    Args:
        model: keeps the contract of a sync task.
        windows: of a stretch.
        temperature: divides the scores.
        frozen: modules of the model that stay as they are, norms' statistics and dropout as well.
    """

    def __init__(
        self,
        model: nn.Module,
        windows: int,
        temperature: float = 1.0,
        frozen: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.model, self.windows, self.frozen = model, windows, frozen
        self.criterion = InfoNceLoss(temperature)
        self.chance = math.log(windows)

    def train(self, mode: bool = True) -> "WindowMatching":
        """Put all but what is frozen into train mode."""
        super().train(mode)
        for name in self.frozen:
            self.model.get_submodule(name).eval()
        return self

    def forward(self, frames: Tensor, wav: Tensor) -> Tensor:
        """Map frames `(B, 3, windows - 1 + T, H, W)` in [0, 1] and their audio `(B, N)` to the
        loss: every window is encoded once, then all pairs of a stretch are compared.
        """
        model = self.model
        video = model.encode_video(frames)  # type: ignore[operator]
        audio = model.encode_audio(wav, starts_s(model.spec, self.windows))  # type: ignore[operator,arg-type]
        rows, columns = each(lambda e: e[:, :, None], video), each(lambda e: e[:, None], audio)
        scores = model.compare(rows, columns)  # type: ignore[operator]
        own = torch.arange(self.windows, device=scores.device).repeat(len(scores))
        loss: Tensor = self.criterion(rearrange(scores, "b t k -> (b t) k"), own)
        return loss


def tune(model: nn.Module, recipe: FineTuneRecipe) -> Tuned:
    """Tune a model of any making that keeps the contract of a sync task.

    The model itself is trained; what is returned is the average of its weights. Neither keeps the
    calibration of the model's scores. The recipe's `model` and `weights` are not looked at, save
    for the temperature.
    """
    torch.manual_seed(recipe.loop.seed)
    # Fitted on the scores of the weights as they were.
    model.calibration = None  # type: ignore[assignment]
    temperature = recipe.temperature or TEMPERATURES.get(recipe.model, 1.0)
    frozen = freeze(model, recipe.encoders)
    task = WindowMatching(model, recipe.windows, temperature, frozen).train()
    measure = Validation(recipe.clips, model.spec.window_frames)  # type: ignore[union-attr,arg-type]
    before = measure(deepcopy(task))
    batches = sequence_batches(recipe.clips, model.spec, recipe.windows)  # type: ignore[arg-type]
    tuned = fit(task, batches, recipe.loop, task.chance, measure, measure.watch)
    return Tuned(tuned.get_submodule("model").eval(), before, measure(tuned))


def train(recipe: FineTuneRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    file = model_card(recipe.model).file
    model = create_model(recipe.model, pretrained=recipe.weights is None, weights=recipe.weights)
    tuned = tune(model, recipe)
    figures = {"before": tuned.before, "after": tuned.after}
    write_text(recipe.loop.output / FIGURES_FILE, json.dumps(figures, indent=1) + "\n")
    config = checkpoints.load(recipe.weights or PRETRAINED / str(file)).config
    task = nn.ModuleDict({"model": tuned.model})
    return save_model(recipe.loop.output, recipe.model, task, config)
