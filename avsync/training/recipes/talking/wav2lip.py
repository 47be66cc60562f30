"""Recipe of Wav2Lip: `avsync train wav2lip --data STORE --expert WEIGHTS -o FOLDER`.

The public code turns the expert's loss on only when a run is well under way; here it counts from
the first step.

Source: Prajwal, Mukhopadhyay, Namboodiri and Jawahar, A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild (ACM Multimedia 2020).
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from avsync.tasks.registry import create_model
from avsync.tasks.sync.lip_expert import LipExpert
from avsync.tasks.talking.discriminator import FaceDiscriminator
from avsync.tasks.talking.wav2lip import Wav2LipConfig
from avsync.training.data.sync import ClipData
from avsync.training.data.talking import talking_batches
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import fit
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings
from avsync.training.recipes.talking.synctalklip import CRITIC
from avsync.training.recipes.talking.synctalklip import LOOP as SYNCTALKLIP_LOOP
from avsync.training.steps.expert_losses import LipExpertLoss
from avsync.training.steps.talking import (
    LossWeights,
    TalkingStep,
    TalkingValidation,
    talking_chance,
)

CLIPS = ClipData(data=REQUIRED, batch=16)
# As published with a discriminator; without one, 0.01 for the expert.
WEIGHTS = LossWeights(gan=0.07, lip=0.0, contrast=0.03, reconstruction=0.9)
LOOP = replace(SYNCTALKLIP_LOOP, steps=200_000)


@dataclass(frozen=True)
class Wav2LipRecipe:
    """Train a talking face with the true frames, a discriminator, and a frozen lip expert.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes.
        weights: weights of the losses; `contrast` is that of the expert, `lip` has no effect.
        expert: weights of a lip expert; without it there are only the true frames and the
            discriminator.
        runs: runs of five frames that are generated of each clip.
        critic: widths of the discriminator's layers.
        init: weights of a Wav2Lip to start from; their sizes apply.
    """

    clips: FlagsOf[ClipData] = CLIPS
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[Wav2LipConfig] = field(default_factory=Wav2LipConfig)
    weights: LossWeights = WEIGHTS
    expert: Path | None = None
    runs: int = 1
    critic: tuple[int, int, int, int, int] = CRITIC
    init: Path | None = None


def train(recipe: Wav2LipRecipe) -> Path:
    """Train Wav2Lip, or resume the run; return the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    start = start_model("wav2lip", asdict(recipe.model), recipe.init)
    expert_loss = None
    if recipe.expert is not None and recipe.weights.contrast:
        expert = create_model("lip_expert", weights=recipe.expert)
        assert isinstance(expert, LipExpert)
        expert_loss = LipExpertLoss(expert)
    critic = FaceDiscriminator(recipe.critic) if recipe.weights.gan else None
    step = TalkingStep(start.model, recipe.weights, critic, expert_loss)
    batches = talking_batches(recipe.clips, recipe.runs)
    chance = talking_chance(batches, recipe.loop.seed)
    validation = TalkingValidation(recipe.clips)
    trained = fit(step, batches, recipe.loop, chance, validation, validation.watch)
    return save_model(recipe.loop.output, start.name, trained, start.config)
