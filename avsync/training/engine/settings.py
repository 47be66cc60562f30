"""Settings of the training loop, which every recipe has: length, optimiser, output, safeguards."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

# The value of a default that leaves a flag required.
REQUIRED: Any = tyro.MISSING
T = TypeVar("T")
# The type of a field that holds a dataclass: its fields are flags without a prefix.
FlagsOf = Annotated[T, tyro.conf.arg(name="")]
Optimizer = Literal["adamw", "adam", "sgd"]


@dataclass(frozen=True)
class LoopSettings:
    """Length of training, optimiser and output.

    A recipe with other defaults makes one with `output=REQUIRED`.

    Args:
        output: folder for log, state and weights; a run that finds its state there resumes.
        steps: optimiser steps.
        lr: peak learning rate.
        optimizer: `adamw`, or as in publications, `adam` for most sync models and `sgd` for
            separators.
        schedule: `linear` rises, stays and falls to zero; `cosine` rises, then falls to zero along
            half a cosine; `step` rises and is then multiplied by `drop_to` every `drop_every`
            steps.
        warmup: steps over which the learning rate rises.
        decay: last share of the steps over which the linear schedule falls, 0 for never.
        drop_every: steps between the drops of the step schedule.
        drop_to: factor of each drop.
        weight_decay: of AdamW and SGD; Adam has none.
        momentum: of SGD.
        beta: decay of the mean gradient of Adam and AdamW.
        clip: largest gradient norm; a longer gradient is clipped.
        accumulate: batches per optimiser step, on each process.
        ema: decay of the exponential moving average of the weights, which is what is kept.
        validate_every: steps between measurements, 0 for only one at the end.
        patience: early stopping: measurements without an improvement of the recipe's watched
            figure after which the run stops and keeps the best weights; 0 for never.
        save_every: steps between states, from which a stopped run resumes.
        alarm_after: chance-level monitor: steps at chance after which likely causes are printed, 0
            for never.
        overfit_one_batch: overfit-one-batch test: before training, at most this many steps on one
            batch with a copy of the model, which must fit it; 0 for no test.
        workers: processes that prefetch batches, 0 for none; they change nothing but the speed.
        tensorboard: write curves for TensorBoard, besides the CSV log.
        seed: of weights, draws and augmentation.
        device: `auto`, `cpu` or `cuda`.
        precision: `32-true` or `bf16-mixed`.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    steps: int = 3000
    lr: float = 1.5e-3
    optimizer: Optimizer = "adamw"
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


def constant_rate(
    steps: int, lr: float, optimizer: Optimizer, validate_every: int, beta: float = 0.9
) -> LoopSettings:
    """Return settings with one learning rate throughout, as most models were published.

    There is no schedule, no gradient clipping and no average of the weights.
    """
    return LoopSettings(
        output=REQUIRED,
        steps=steps,
        lr=lr,
        optimizer=optimizer,
        validate_every=validate_every,
        beta=beta,
        warmup=0,
        decay=0.0,
        clip=math.inf,
        ema=0.0,
    )
