"""Training of the lip expert, SyncNet*: `avsync train lip-expert --data STORE -o FOLDER`.

Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need (ACM Multimedia
2020). Its public code exchanges the frame of a wrong pair, here it is the audio; both come from
the same clip, so the pairs are alike.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor, nn

from avsync.losses.cosine_bce import CosineBceLoss
from avsync.tasks.sync.lip_expert import LipExpert, LipExpertConfig
from avsync.training.data.sync import ClipData, Validation, audio_of_frames
from avsync.training.data.sync_batches import Negatives, pair_batches
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.engine.settings import steady

CLIPS = ClipData(data=tyro.MISSING, batch=64)
PUBLISHED_LOOP = steady(200_000, 1e-4, optimizer="adam", validate_every=2000)


@dataclass(frozen=True)
class LipExpertRecipe:
    """Trains the lip expert: the cosine of lips and voice is the probability that they belong
    together.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes; `--window-frames` 5 or 25.
        negatives: how far wrong audio lies from the right one.
        init: weights to start from instead of fresh ones; their sizes hold.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = PUBLISHED_LOOP
    model: Annotated[LipExpertConfig, tyro.conf.arg(name="")] = field(
        default_factory=LipExpertConfig
    )
    negatives: Annotated[Negatives, tyro.conf.arg(name="")] = field(default_factory=Negatives)
    init: Path | None = None


class CosinePairs(nn.Module):
    """A lip expert with its loss: one training step's forward pass."""

    def __init__(self, model: LipExpert) -> None:
        super().__init__()
        self.model = model
        self.criterion = CosineBceLoss()
        self.chance = self.criterion.chance

    def forward(self, frames: Tensor, wav: Tensor, in_sync: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` in [0, 1], the audio that their mel reaches `(B, N)`, and
        labels `(B,)`, 1 in sync and 0 not, to the loss.
        """
        mel = self.model.front_end.columns(wav)
        loss: Tensor = self.criterion(self.model(frames, mel), in_sync)
        return loss


def train(recipe: LipExpertRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    model, config = start_model("lip_expert", asdict(recipe.model), recipe.init)
    assert isinstance(model, LipExpert)
    task = CosinePairs(model)
    batches = pair_batches(recipe.clips, recipe.negatives, model.spec, audio_of_frames(model.spec))
    measure = Validation(recipe.clips, model.spec.window_frames)
    trained = fit(task, batches, recipe.loop, task.chance, measure, measure.watch)
    return save_model(recipe.loop.output, "lip_expert", trained, config)
