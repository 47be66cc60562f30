"""Overfit-one-batch test: before training, check that the model can fit a single batch."""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from avsync.training.engine.optimizer import make_optimizer
from avsync.training.engine.settings import LoopSettings

# The test is passed once the loss is below this share of chance. A redundant sigmoid, or a part
# that is cut off, stays above it: binary cross-entropy on top of a sigmoid ends at 0.73 of ln 2.
PASS_SHARE = 0.5
# A loss that has not fallen by this share has not moved at all.
STILL = 0.02


class OverfitResult(NamedTuple):
    """Result of an overfit-one-batch test.

    Args:
        steps: steps taken.
        first: loss of the first step.
        lowest: lowest loss.
        passed: whether the batch was fitted.
    """

    steps: int
    first: float
    lowest: float
    passed: bool


def overfit_one_batch(
    task: nn.Module, tensors: tuple[Tensor, ...], settings: LoopSettings, chance: float
) -> OverfitResult:
    """Train a copy of a module on one batch, for at most `settings.overfit_one_batch` steps.

    Args:
        task: maps the batch to a scalar loss; it is not changed.
        tensors: the batch, on the device of the module.
        settings: optimiser, peak learning rate, precision and number of steps.
        chance: loss at chance level.
    """
    copy = deepcopy(task)
    optimizer = make_optimizer(copy, settings)
    mixed = settings.precision == "bf16-mixed"
    first = lowest = float("inf")
    for step in range(settings.overfit_one_batch):
        torch.manual_seed(step)
        with torch.autocast(tensors[0].device.type, torch.bfloat16, enabled=mixed):
            loss = copy(*tensors)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(copy.parameters(), settings.clip)
        optimizer.step()
        value = float(loss.detach())
        first = value if step == 0 else first
        lowest = min(lowest, value)
        if lowest < PASS_SHARE * chance:
            return OverfitResult(step + 1, first, lowest, True)
    return OverfitResult(settings.overfit_one_batch, first, lowest, False)


def describe_overfit(result: OverfitResult, chance: float) -> str:
    """Return the result as text, with likely causes if the test failed."""
    figures = f"loss {result.first:.4f} -> {result.lowest:.4f} in {result.steps} steps"
    figures += f", chance {chance:.4f}"
    if result.passed:
        return f"overfit-one-batch passed: {figures}"
    if result.lowest > (1 - STILL) * result.first:
        cause = (
            "the loss does not move: is a part frozen, detached or dead, or the learning rate much"
            " too small?"
        )
    else:
        cause = (
            "the loss moves, but not enough: more steps or a larger learning rate; a sigmoid or"
            " softmax too many before the loss; strong augmentation or dropout inside the model"
        )
    return f"overfit-one-batch failed: {figures}. Likely: {cause}"
