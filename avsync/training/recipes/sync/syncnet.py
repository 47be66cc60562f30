"""Recipe of SyncNet: `avsync train syncnet --data STORE -o FOLDER`."""

from dataclasses import dataclass, field
from pathlib import Path

from avsync.losses.margin_contrastive import MarginContrastiveLoss
from avsync.tasks.sync.syncnet import SyncNetConfig
from avsync.training.data.sync import ClipData, Negatives
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings
from avsync.training.steps.sync import PairStep, start_sync_model, train_on_pairs

# Chung and Zisserman, Out of Time (ACCV-W 2016), whose training code was never released: the loss
# is the paper's, pairs are drawn as for VocaLiST, and learning rate and margin are ours.
LOOP = LoopSettings(output=REQUIRED, steps=50_000, lr=5e-4, validate_every=2000)


@dataclass(frozen=True)
class SyncNetRecipe:
    """Train SyncNet: pull pairs in sync together, push the others a margin apart.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes; `--crop face --size 96` fits stores made without head crops.
        negatives: pairs out of sync.
        margin: distance from which negatives cost nothing; fresh weights put all pairs 18 apart.
        init: weights to start from instead of fresh ones; their sizes apply.
    """

    clips: FlagsOf[ClipData]
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[SyncNetConfig] = field(default_factory=SyncNetConfig)
    negatives: FlagsOf[Negatives] = field(default_factory=Negatives)
    margin: float = 18.0
    init: Path | None = None


def train(recipe: SyncNetRecipe) -> Path:
    """Train SyncNet, or resume the run; return the path of the weights."""
    start = start_sync_model("syncnet", recipe.model, recipe.init, recipe.loop.seed)
    step = PairStep(start.model, MarginContrastiveLoss(recipe.margin), sign=-1)
    return train_on_pairs(start, step, recipe.clips, recipe.negatives, recipe.loop)
