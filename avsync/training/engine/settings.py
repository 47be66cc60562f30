"""What every recipe shares: how long, how fast, where to, and how carefully."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train, and where to.

    A recipe that wants other defaults gives them with `output=tyro.MISSING`, which stays required.

    Args:
        output: folder for the log, the state and the weights; a run that finds its state resumes.
        steps: optimiser steps.
        lr: peak learning rate.
        optimizer: `adamw`, or as published models were trained, `adam` for most of those of sync,
            `sgd` for those of separation.
        schedule: `linear` rises, stays and falls to zero; `cosine` rises and falls to zero along a
            half wave; `step` rises and is then multiplied by `drop_to` every `drop_every` steps.
        warmup: steps of rising rate.
        decay: last share of the steps over which the linear schedule falls, 0 for never.
        drop_every: steps between the drops of the step schedule.
        drop_to: what each drop leaves of the rate.
        weight_decay: of AdamW and SGD; Adam has none.
        momentum: of SGD.
        beta: decay of Adam's and AdamW's mean gradient.
        clip: longest gradient, a longer one is shortened to it.
        accumulate: batches per optimiser step, on each process.
        ema: decay of the averaged weights, which are the ones that are kept.
        validate_every: steps between measurements, 0 for only one at the end.
        patience: early stopping: measurements in which the figure that the recipe watches has not
            improved, after which the run stops and keeps the best weights; 0 for never.
        save_every: steps between states that a stopped run resumes from.
        alarm_after: steps at chance after which likely causes are said, 0 for never.
        overfit_one_batch: before training, up to so many steps on one batch with a copy of the
            model, which must learn it by heart; 0 for no such test.
        workers: processes that make batches ahead, 0 for none; they change nothing but the speed.
        tensorboard: writes curves for TensorBoard beside the CSV log.
        seed: of weights, draws and augmentation.
        device: `auto`, `cpu` or `cuda`.
        precision: `32-true` or `bf16-mixed`.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    steps: int = 3000
    lr: float = 1.5e-3
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    schedule: Literal["linear", "cosine", "step"] = "linear"
    warmup: int = 100
    decay: float = 0.3
    drop_every: int = 1000
    drop_to: float = 0.5
    weight_decay: float = 0.05
    momentum: float = 0.8
    beta: float = 0.9
    clip: float = 5.0
    accumulate: int = 1
    ema: float = 0.998
    validate_every: int = 500
    patience: int = 0
    save_every: int = 100
    alarm_after: int = 500
    overfit_one_batch: int = 0
    workers: int = 0
    tensorboard: bool = False
    seed: int = 0
    device: str = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "save_every", "drop_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("warmup", "validate_every", "patience", "alarm_after", "overfit_one_batch"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), got {self.ema}")
        if not 0 <= self.beta < 1:
            raise ValueError(f"beta must be in [0, 1), got {self.beta}")
        if self.clip <= 0:
            raise ValueError(f"clip must be positive, got {self.clip}")


def steady(steps: int, lr: float, **others: Any) -> LoopSettings:
    """One rate from the first step to the last, as most models were published: no schedule, no
    shortened gradients, no average of the weights. `others` are fields of `LoopSettings`.
    """
    return LoopSettings(
        tyro.MISSING, steps, lr, warmup=0, decay=0.0, clip=math.inf, ema=0.0, **others
    )
