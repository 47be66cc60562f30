"""Training of MTDVocaLiST: `avsync train mtdvocalist --data STORE --teacher FILE -o FOLDER`.

Chen and others, Multimodal Transformer Distillation for Audio-Visual Synchronization (ICASSP 2024).
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from avsync.tasks.registry import create_model
from avsync.tasks.sync.vocalist import (
    MTDVOCALIST,
    Vocalist,
    VocalistConfig,
    capture_activations,
)
from avsync.training.data.sync import ClipData, Validation
from avsync.training.data.sync_batches import Negatives, cut_audio_windows, pair_batches
from avsync.training.engine.checkpoint import save_model, start_model
from avsync.training.engine.loop import LoopSettings, fit
from avsync.training.recipes.vocalist import PairClassification
from avsync.training.steps.distillation import (
    AttentionDistillation,
    FrozenTeacher,
    HintDistillation,
    RelationalDistillation,
    SoftTargetDistillation,
)
from avsync.training.steps.encoder_alignment import Alignment

# 80 epochs of LRS2's 96 318 clips in batches of 128, a tenth of them and more of rising rate.
EPOCH = 752
PUBLISHED_LOOP = LoopSettings(
    output=tyro.MISSING,
    steps=80 * EPOCH,
    lr=5e-5,
    optimizer="adam",
    schedule="step",
    warmup=10 * EPOCH,
    drop_every=20 * EPOCH,
    drop_to=0.8,
    clip=math.inf,
    ema=0.0,
    validate_every=2000,
)


@dataclass(frozen=True)
class MtdVocalistRecipe:
    """Trains a narrow VocaLiST with a wide one as its teacher. Run again, it resumes.

    Args:
        clips: what to train on.
        loop: how long, how fast, where to.
        model: sizes of the student; frames of a window, and for `relations` depth and heads, are
            those of the teacher.
        negatives: how far wrong audio lies from the right one.
        teacher: weights of a VocaLiST (`avsync train vocalist`); it stays as it is.
        teacher_model: what they are weights of: one with other eyes may teach as well.
        distillation: what the teacher teaches: `relations` of every layer (MTDVocaLiST),
            `soft-targets`, `hints` (FitNets), `relational` (RKD), or `none`: no teacher is asked.
        init: weights to start from instead of fresh ones; their sizes hold.
        align: weight of InfoNCE over the batch on the two encoders' mean tokens, see `vocalist`.
    """

    clips: Annotated[ClipData, tyro.conf.arg(name="")]
    loop: Annotated[LoopSettings, tyro.conf.arg(name="")] = PUBLISHED_LOOP
    model: Annotated[VocalistConfig, tyro.conf.arg(name="")] = MTDVOCALIST
    negatives: Annotated[Negatives, tyro.conf.arg(name="")] = field(default_factory=Negatives)
    teacher: Path | None = None
    teacher_model: Literal["vocalist", "vocalist_mc3", "vocalist_timm", "mtdvocalist"] = "vocalist"
    distillation: Literal["relations", "soft-targets", "hints", "relational", "none"] = "relations"
    init: Path | None = None
    align: float = 0.0


class Distilling(nn.Module):
    """A student with its teacher and what it is taught: one training step's forward pass.

    The value is the cross-entropy of the labels, which every way of teaching holds: it has a chance
    level, and runs can be compared by it. The gradient is that of the whole loss.

    Args:
        model: the student.
        teacher: of the same window.
        teaching: maps what both think and the labels to a scalar; see `distillation`.
        align: weight of the `Alignment` of the student's encoders.
    """

    chance = math.log(2)

    def __init__(
        self, model: Vocalist, teacher: Vocalist, teaching: nn.Module, align: float = 0.0
    ) -> None:
        super().__init__()
        if (ours := model.spec.window_frames) != (theirs := teacher.spec.window_frames):
            raise ValueError(
                f"teacher must look at windows of {ours} frames, as the student, got {theirs}"
            )
        self.model, self.teaching = model, teaching
        self.teacher, self.alignment = FrozenTeacher(teacher), Alignment(align)

    def forward(self, frames: Tensor, wav: Tensor, in_sync: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` in [0, 1], audio `(B, 640 T)` and labels `(B,)`, 1 in
        sync and 0 not, to a scalar.
        """
        mel = self.model.front_end(wav)[..., :-1]
        student = capture_activations(self.model, frames, mel)
        with torch.no_grad():
            teacher = capture_activations(self.teacher.on(frames.device), frames, mel)
        total = self.teaching(student, teacher, in_sync)
        labels = F.binary_cross_entropy_with_logits(student.scores.detach(), in_sync)
        loss = labels + (total - total.detach())
        aligned: Tensor = self.alignment(loss, student.video, student.audio, in_sync)
        return aligned


def train(recipe: MtdVocalistRecipe) -> Path:
    """Run the recipe, or what is left of it, and returns the path of the student's weights."""
    torch.manual_seed(recipe.loop.seed)
    model, config = start_model("mtdvocalist", asdict(recipe.model), recipe.init)
    assert isinstance(model, Vocalist)
    task = _step(recipe, model)
    audio = cut_audio_windows(model.spec.window_frames)
    batches = pair_batches(recipe.clips, recipe.negatives, model.spec, audio)
    measure = Validation(recipe.clips, model.spec.window_frames)
    trained = fit(task, batches, recipe.loop, Distilling.chance, measure, measure.watch)
    return save_model(recipe.loop.output, "mtdvocalist", trained, config)


def _step(recipe: MtdVocalistRecipe, model: Vocalist) -> nn.Module:
    if recipe.distillation == "none":
        return PairClassification(model, recipe.align)
    if recipe.teacher is None:
        raise ValueError(
            f"teacher must name the weights of a VocaLiST to distil {recipe.distillation}: train "
            "one with avsync train vocalist, or say --distillation none"
        )
    teacher = create_model(recipe.teacher_model, weights=recipe.teacher)
    assert isinstance(teacher, Vocalist)
    return Distilling(model, teacher, _teaching(recipe, model, teacher), recipe.align)


def _teaching(recipe: MtdVocalistRecipe, model: Vocalist, teacher: Vocalist) -> nn.Module:
    if recipe.distillation == "relations":
        ours, theirs = _depth_and_heads(model), _depth_and_heads(teacher)
        if ours != theirs:
            raise ValueError(
                "relations are taught layer by layer and head by head: the student must have the "
                f"teacher's {theirs[0]} layers of {theirs[1]} heads, got {ours[0]} of {ours[1]}"
            )
        return AttentionDistillation(ours[0])
    if recipe.distillation == "soft-targets":
        return SoftTargetDistillation()
    if recipe.distillation == "hints":
        return HintDistillation(model.fc.in_features, teacher.fc.in_features)
    return RelationalDistillation()


def _depth_and_heads(model: Vocalist) -> tuple[int, int]:
    layers = model.fusion.layers
    heads = layers[0].heads
    assert isinstance(heads, int)
    return len(layers), heads
