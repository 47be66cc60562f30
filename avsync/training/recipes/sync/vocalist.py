"""Recipe of VocaLiST: `avsync train vocalist --data STORE -o FOLDER`.

Source: Kadandale, Montesinos and Haro, VocaLiST: An Audio-Visual Synchronisation Model for Lips and
Voices (Interspeech 2022).
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from avsync.tasks.sync.vocalist import VocalistConfig
from avsync.timing import exact_div
from avsync.training.data.sync import ClipData, Negatives, audio_range_of_frames
from avsync.training.engine.checkpoint import start_model
from avsync.training.engine.settings import FlagsOf, LoopSettings, constant_rate
from avsync.training.steps.sync import train_on_pairs
from avsync.training.steps.vocalist import VocalistStep

# The name of torchvision's MC3-18, which timm does not have.
MC3 = "mc3_18"
LOOP = constant_rate(100_000, 5e-5, optimizer="adam", validate_every=2000)


@dataclass(frozen=True)
class VocalistRecipe:
    """Train VocaLiST to classify windows in sync and out of sync, by cross-entropy.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes; `--window-frames` 5, 10 or 25 are the published contexts.
        negatives: pairs out of sync.
        backbone: use this image network of timm, or `mc3_18`, as visual encoder instead of the 3-D
            convolutions.
        init: weights to start from instead of fresh ones; their sizes apply.
        align: weight of InfoNCE over the batch on the two encoders' mean tokens. Published is none;
            with it the encoders agree before the transformers have learned to compare, and a fresh
            model leaves chance in minutes.
    """

    clips: FlagsOf[ClipData]
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[VocalistConfig] = field(default_factory=VocalistConfig)
    negatives: FlagsOf[Negatives] = field(default_factory=Negatives)
    backbone: str | None = None
    init: Path | None = None
    align: float = 0.0


def train(recipe: VocalistRecipe) -> Path:
    """Train VocaLiST, or resume the run; return the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    start = start_model(*model_config(recipe), recipe.init)
    step = VocalistStep(start.model, recipe.align)
    return train_on_pairs(
        start, step, recipe.clips, recipe.negatives, recipe.loop, audio_range_of_frames
    )


def model_config(recipe: VocalistRecipe) -> tuple[str, dict[str, Any]]:
    """Return the name of the model in the registry, and its config."""
    sizes = asdict(recipe.model)
    if recipe.backbone is None:
        return "vocalist", sizes
    if recipe.backbone == MC3:
        dim = recipe.model.channels[-1]
        # Each stage is twice as wide as the previous one, up to the tokens: 64 to 512 at full size.
        widths = tuple(exact_div(dim, part) for part in (8, 4, 2, 1))
        return "vocalist_mc3", {**sizes, "visual_channels": widths}
    return "vocalist_timm", {**sizes, "backbone": recipe.backbone}
