"""Training of Wav2Lip: `avsync train wav2lip --data STORE --expert WEIGHTS -o FOLDER`.

Prajwal et al., A Lip Sync Expert Is All You Need for Speech to Lip Generation In the Wild (ACM
Multimedia 2020). Its public code lets the expert in only when a run is well under way; here it
speaks from the first step.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from avsync.tasks.registry import create_model
from avsync.tasks.sync.lip_expert import LipExpert
from avsync.tasks.talking.discriminator import FaceDiscriminator
from avsync.tasks.talking.wav2lip import Wav2Lip, Wav2LipConfig
from avsync.training.data.sync import ClipData
from avsync.training.data.talking import talking_batches
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.recipes.synctalklip import CRITIC, PUBLISHED_LOOP
from avsync.training.steps.expert_losses import LipExpertLoss
from avsync.training.steps.talking import LossWeights, TalkingStep, TalkingValidation, chance

CLIPS = ClipData(data=tyro.MISSING, batch=16)
# As published with a critic; without one, 0.01 for the expert.
PUBLISHED_WEIGHTS = LossWeights(gan=0.07, lip=0.0, contrast=0.03, reconstruction=0.9)
LOOP = replace(PUBLISHED_LOOP, steps=200_000)


@dataclass(frozen=True)
class Wav2LipRecipe:
    """Trains a face to say what a voice says: by the true frames, a critic, and a frozen lip
    expert.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes.
        weights: of the losses; `contrast` is that of the expert, and nothing is read.
        expert: weights of a lip expert; without it nothing but the true frames and the critic
            teaches.
        runs: of five frames that are drawn of each clip.
        critic: widths of the critic's layers.
        init: weights of a Wav2Lip to start from; their sizes hold.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")] = CLIPS
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = LOOP
    model: Annotated[Wav2LipConfig, tyro.conf.arg(name="")] = field(default_factory=Wav2LipConfig)
    weights: LossWeights = PUBLISHED_WEIGHTS
    expert: Path | None = None
    runs: int = 1
    critic: tuple[int, int, int, int, int] = CRITIC
    init: Path | None = None


def train(recipe: Wav2LipRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    model, config = start_model("wav2lip", asdict(recipe.model), recipe.init)
    assert isinstance(model, Wav2Lip)
    guide = None
    if recipe.expert is not None and recipe.weights.contrast:
        expert = create_model("lip_expert", weights=recipe.expert)
        assert isinstance(expert, LipExpert)
        guide = LipExpertLoss(expert)
    critic = FaceDiscriminator(recipe.critic) if recipe.weights.gan else None
    task = TalkingStep(model, recipe.weights, critic, guide)
    batches = talking_batches(recipe.clips, recipe.runs)
    knows_nothing = chance(batches, recipe.loop.seed)
    measure = TalkingValidation(recipe.clips)
    trained = fit(task, batches, recipe.loop, knows_nothing, measure, measure.watch)
    return save_model(recipe.loop.output, "wav2lip", trained, config)
