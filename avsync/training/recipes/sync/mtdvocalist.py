"""Recipe of MTDVocaLiST: `avsync train mtdvocalist --data STORE --teacher FILE -o FOLDER`.

Source: Chen and others, Multimodal Transformer Distillation for Audio-Visual Synchronization
(ICASSP 2024).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import nn

from avsync.tasks.registry import create_model
from avsync.tasks.sync.vocalist import MTDVOCALIST, Vocalist, VocalistConfig
from avsync.training.data.sync import ClipData, Negatives, audio_range_of_frames
from avsync.training.engine.settings import REQUIRED, FlagsOf, LoopSettings
from avsync.training.steps.distillation import (
    AttentionDistillation,
    FitNetsDistillation,
    RelationalDistillation,
    SoftTargetDistillation,
)
from avsync.training.steps.sync import start_sync_model, train_on_pairs
from avsync.training.steps.vocalist import VocalistDistillationStep, VocalistStep

# Steps over LRS2's 96 318 clips in batches of 128. Published are 80 epochs with a warm-up of 10.
EPOCH = 752
LOOP = LoopSettings(
    output=REQUIRED,
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
    """Train a narrow VocaLiST by distillation from a wide one.

    Args:
        clips: training clips.
        loop: length, optimiser and output.
        model: sizes of the student; frames of a window, and for `relations` depth and heads, must
            be those of the teacher.
        negatives: pairs out of sync.
        teacher: weights of a VocaLiST (`avsync train vocalist`), which is frozen.
        teacher_model: model of these weights: the teacher may have another visual encoder.
        distillation: `relations` of every layer (MTDVocaLiST), `soft-targets`, `hints` (FitNets),
            `relational` (RKD), or `none`, which needs no teacher.
        init: weights to start from instead of fresh ones; their sizes apply.
        align: weight of InfoNCE over the batch on the two encoders' mean tokens, see `vocalist`.
    """

    clips: FlagsOf[ClipData]
    loop: FlagsOf[LoopSettings] = LOOP
    model: FlagsOf[VocalistConfig] = MTDVOCALIST
    negatives: FlagsOf[Negatives] = field(default_factory=Negatives)
    teacher: Path | None = None
    teacher_model: Literal["vocalist", "vocalist_mc3", "vocalist_timm", "mtdvocalist"] = "vocalist"
    distillation: Literal["relations", "soft-targets", "hints", "relational", "none"] = "relations"
    init: Path | None = None
    align: float = 0.0


def train(recipe: MtdVocalistRecipe) -> Path:
    """Train the student, or resume the run; return the path of its weights."""
    start = start_sync_model("mtdvocalist", recipe.model, recipe.init, recipe.loop.seed)
    step = _step(recipe, start.model)
    return train_on_pairs(
        start, step, recipe.clips, recipe.negatives, recipe.loop, audio_range_of_frames
    )


def _step(recipe: MtdVocalistRecipe, model: Vocalist) -> nn.Module:
    if recipe.distillation == "none":
        return VocalistStep(model, recipe.align)
    if recipe.teacher is None:
        raise ValueError(
            f"teacher must name the weights of a VocaLiST to distil {recipe.distillation}: train "
            "one with avsync train vocalist, or say --distillation none"
        )
    teacher = create_model(recipe.teacher_model, weights=recipe.teacher)
    assert isinstance(teacher, Vocalist)
    distillation = _distillation(recipe, model, teacher)
    return VocalistDistillationStep(model, teacher, distillation, recipe.align)


def _distillation(recipe: MtdVocalistRecipe, model: Vocalist, teacher: Vocalist) -> nn.Module:
    if recipe.distillation == "relations":
        ours, theirs = _depth_and_heads(model), _depth_and_heads(teacher)
        if ours != theirs:
            raise ValueError(
                "relations are distilled layer by layer and head by head: the student must have "
                f"the teacher's {theirs[0]} layers of {theirs[1]} heads, got {ours[0]} of {ours[1]}"
            )
        return AttentionDistillation(ours[0])
    if recipe.distillation == "soft-targets":
        return SoftTargetDistillation()
    if recipe.distillation == "hints":
        return FitNetsDistillation(model.fc.in_features, teacher.fc.in_features)
    return RelationalDistillation()


def _depth_and_heads(model: Vocalist) -> tuple[int, int]:
    layers = model.fusion.layers
    heads = layers[0].heads
    assert isinstance(heads, int)
    return len(layers), heads
