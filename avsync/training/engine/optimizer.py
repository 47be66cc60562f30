"""Optimisers and learning rate schedules; the rate of a step follows from its number alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from avsync.training.engine.settings import LoopSettings

# Decay of Adam's mean squared gradient: torch's default.
SECOND_BETA = 0.999


def make_optimizer(task: nn.Module, settings: LoopSettings) -> torch.optim.Optimizer:
    """Build the optimiser of the trainable parameters; ValueError if there is none."""
    parameters = [parameter for parameter in task.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("the task has no parameter to train: all of them are frozen")
    betas = (settings.beta, SECOND_BETA)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=settings.lr, betas=betas)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    return torch.optim.AdamW(
        parameters, lr=settings.lr, betas=betas, weight_decay=settings.weight_decay
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: LoopSettings
) -> Callable[[int], None]:
    """Return a function that sets the learning rate for a step, counted from 0."""
    if settings.schedule == "linear":
        return lambda step: _set_rate(optimizer, learning_rate(settings, step))
    scheduler = _timm_scheduler(optimizer, settings)
    return lambda step: scheduler.step_update(step)


def learning_rate(settings: LoopSettings, step: int) -> float:
    """Compute the learning rate of a step in the linear schedule.

    It rises during the warm-up, stays, and falls to zero over the last `decay` of the steps.
    """
    up = (step + 1) / max(1, settings.warmup)
    down = (settings.steps - step) / max(1.0, settings.decay * settings.steps)
    return settings.lr * min(1.0, up, down)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _timm_scheduler(optimizer: torch.optim.Optimizer, settings: LoopSettings) -> Any:
    from timm.scheduler.cosine_lr import CosineLRScheduler
    from timm.scheduler.step_lr import StepLRScheduler

    # timm's warm-up starts from this rate, which must not be 0: the first step would do nothing.
    first = settings.lr / max(1, settings.warmup)
    if settings.schedule == "cosine":
        return CosineLRScheduler(
            optimizer,
            t_initial=max(1, settings.steps - settings.warmup),
            warmup_t=settings.warmup,
            warmup_lr_init=first,
            warmup_prefix=True,
            t_in_epochs=False,
        )
    return StepLRScheduler(
        optimizer,
        decay_t=settings.drop_every,
        decay_rate=settings.drop_to,
        warmup_t=settings.warmup,
        warmup_lr_init=first,
        warmup_prefix=True,
        t_in_epochs=False,
    )
