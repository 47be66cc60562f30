"""Training of VocaLiST: `avsync train vocalist --data STORE -o FOLDER`.

Kadandale, Montesinos and Haro, VocaLiST (Interspeech 2022).
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from avsync.tasks.sync.vocalist import Vocalist, VocalistConfig
from avsync.timing import exact_div
from avsync.training.data.sync import ClipData, Validation
from avsync.training.data.sync_batches import Negatives, cut_audio_windows, pair_batches
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.engine.settings import steady
from avsync.training.steps.encoder_alignment import Alignment

# torchvision's name; timm has none of it.
MC3 = "mc3_18"
PUBLISHED_LOOP = steady(100_000, 5e-5, optimizer="adam", validate_every=2000)


@dataclass(frozen=True)
class VocalistRecipe:
    """Trains VocaLiST to tell windows in sync from others of the same clip, by cross-entropy.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes; `--window-frames` 5, 10 or 25 are the published contexts.
        negatives: how far wrong audio lies from the right one.
        backbone: see with this image network of timm, or with `mc3_18`, in place of the 3-D
            convolutions.
        init: weights to start from instead of fresh ones; their sizes hold.
        align: weight of InfoNCE over the batch on the two encoders' mean tokens. Published is none;
            with it the encoders agree before the transformers have learnt to compare, and a fresh
            model leaves chance in minutes.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")]
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = PUBLISHED_LOOP
    model: Annotated[VocalistConfig, tyro.conf.arg(name="")] = field(default_factory=VocalistConfig)
    negatives: Annotated[Negatives, tyro.conf.arg(name="")] = field(default_factory=Negatives)
    backbone: str | None = None
    init: Path | None = None
    align: float = 0.0


class PairClassification(nn.Module):
    """A VocaLiST model with its loss: one training step's forward pass.

    The audio is that of the window alone, its ends mirrored, as in the public training; in use a
    model hears what lies beyond them.

    The value is the cross-entropy of the labels, whose chance is ln 2; the gradient is that of the
    alignment of the encoders as well.

    Args:
        model: to train.
        align: weight of the `Alignment` of its encoders.
    """

    chance = math.log(2)

    def __init__(self, model: Vocalist, align: float = 0.0) -> None:
        super().__init__()
        self.model, self.alignment = model, Alignment(align)

    def forward(self, frames: Tensor, wav: Tensor, in_sync: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` in [0, 1], audio `(B, 640 T)` and labels `(B,)`, 1 in
        sync and 0 not, to the loss.
        """
        mel = self.model.front_end(wav)[..., :-1]
        video, audio = self.model.tokens(frames, mel)
        loss = F.binary_cross_entropy_with_logits(self.model.join(video, audio), in_sync)
        aligned: Tensor = self.alignment(loss, video, audio, in_sync)
        return aligned


def train(recipe: VocalistRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the weights."""
    torch.manual_seed(recipe.loop.seed)
    name, sizes = _kind(recipe)
    model, config = start_model(name, sizes, recipe.init)
    assert isinstance(model, Vocalist)
    task = PairClassification(model, recipe.align)
    audio = cut_audio_windows(model.spec.window_frames)
    batches = pair_batches(recipe.clips, recipe.negatives, model.spec, audio)
    measure = Validation(recipe.clips, model.spec.window_frames)
    trained = fit(task, batches, recipe.loop, task.chance, measure, measure.watch)
    return save_model(recipe.loop.output, name, trained, config)


def _kind(recipe: VocalistRecipe) -> tuple[str, dict[str, Any]]:
    """Return the name of the model in the registry, and its sizes."""
    sizes = asdict(recipe.model)
    if recipe.backbone is None:
        return "vocalist", sizes
    if recipe.backbone == MC3:
        dim = recipe.model.channels[-1]
        # Each stage twice as wide as the one before, up to the tokens: 64 to 512 at full size.
        widths = tuple(exact_div(dim, part) for part in (8, 4, 2, 1))
        return "vocalist_mc3", {**sizes, "visual_channels": widths}
    return "vocalist_timm", {**sizes, "backbone": recipe.backbone}
