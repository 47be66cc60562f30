"""Recipe of the lip expert, SyncNet*: `avsync train lip-expert --data STORE -o FOLDER`."""

from dataclasses import dataclass, field
from pathlib import Path

from avsync.losses.cosine_bce import CosineBceLoss
from avsync.tasks.sync.lip_expert import LipExpertConfig
from avsync.training.data.sync import ClipData, Negatives
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings, constant_rate
from avsync.training.steps.sync import PairStep, start_sync_model, train_on_pairs

# Prajwal and others, A Lip Sync Expert Is All You Need (ACM Multimedia 2020). Its public code
# replaces the frames of a wrong pair, here it is the audio; either comes from the same clip.
CLIPS = ClipData(data=REQUIRED, batch=64)
LOOP = constant_rate(200_000, 1e-4, optimizer="adam", validate_every=2000)


@dataclass(frozen=True)
class LipExpertRecipe:
    """Train the lip expert: the cosine of lips and voice is the probability of a pair in sync.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes; `--window-frames` 5 or 25.
        negatives: pairs out of sync.
        init: weights to start from instead of fresh ones; their sizes apply.
    """

    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[LipExpertConfig] = field(default_factory=LipExpertConfig)
    negatives: FlagsOf[Negatives] = field(default_factory=Negatives)
    init: Path | None = None


def train(recipe: LipExpertRecipe) -> Path:
    """Train the lip expert, or resume the run; return the path of the weights."""
    start = start_sync_model("lip_expert", recipe.model, recipe.init, recipe.loop.seed)
    step = PairStep(start.model, CosineBceLoss())
    return train_on_pairs(start, step, recipe.clips, recipe.negatives, recipe.loop)
