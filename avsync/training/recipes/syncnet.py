"""Training of SyncNet: `avsync train syncnet --data STORE -o FOLDER`.

Chung and Zisserman, Out of Time (ACCV-W 2016). The loss is the paper's; its training code was never
released, so pairs are drawn as VocaLiST draws them, and the rates are ours.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor, nn

from avsync.losses.margin_contrastive import MarginContrastiveLoss
from avsync.tasks.sync.syncnet import SyncNet, SyncNetConfig
from avsync.training.data.sync import ClipData, Validation, audio_of_frames
from avsync.training.data.sync_batches import Negatives, pair_batches
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit

LOOP = LoopSettings(output=tyro.MISSING, steps=50_000, lr=5e-4, validate_every=2000)


@dataclass(frozen=True)
class SyncNetRecipe:
    """Trains SyncNet: windows in sync come near each other, others stay a margin apart.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes; `--crop face --size 96` does with stores made without head crops.
        negatives: how far wrong audio lies from the right one.
        margin: distance beyond which wrong pairs cost nothing; 18 is about how far apart fresh
            weights put all pairs, in 1024 numbers.
        init: weights to start from instead of fresh ones; their sizes hold.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")]
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    model: Annotated[SyncNetConfig, tyro.conf.arg(name="")] = field(default_factory=SyncNetConfig)
    negatives: Annotated[Negatives, tyro.conf.arg(name="")] = field(default_factory=Negatives)
    margin: float = 18.0
    init: Path | None = None


class ContrastivePairs(nn.Module):
    """A SyncNet with its loss: one training step's forward pass.

    Args:
        model: the model.
        margin: of the loss.
    """

    def __init__(self, model: SyncNet, margin: float) -> None:
        super().__init__()
        self.model = model
        self.criterion = MarginContrastiveLoss(margin)
        self.chance = self.criterion.chance

    def forward(self, frames: Tensor, wav: Tensor, in_sync: Tensor) -> Tensor:
        """Map frames `(B, 3, 5, H, W)` in [0, 1], the audio that their cepstra reach `(B, N)`, and
        labels `(B,)`, 1 in sync and 0 not, to the loss.
        """
        mfcc = self.model.front_end.columns(wav)
        loss: Tensor = self.criterion(-self.model(frames, mfcc), in_sync)
        return loss


def train(recipe: SyncNetRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    model, config = start_model("syncnet", asdict(recipe.model), recipe.init)
    assert isinstance(model, SyncNet)
    task = ContrastivePairs(model, recipe.margin)
    batches = pair_batches(recipe.clips, recipe.negatives, model.spec, audio_of_frames(model.spec))
    measure = Validation(recipe.clips, model.spec.window_frames)
    trained = fit(task, batches, recipe.loop, task.chance, measure, measure.watch)
    return save_model(recipe.loop.output, "syncnet", trained, config)
