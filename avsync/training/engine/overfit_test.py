"""The self-test before training: can model, loss and rate learn one batch by heart?"""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from avsync.training.engine.optimizer import make_optimizer
from avsync.training.engine.settings import LoopSettings

# Learned by heart: the loss is below this share of chance. A sigmoid too many, or a part cut off,
# stays above it: binary cross-entropy on top of a sigmoid ends at 0.73 of ln 2.
LEARNED = 0.5
# A loss that has not come down by this share has not moved at all.
STILL = 0.02


class OneBatch(NamedTuple):
    """How a batch was learned by heart: steps done, first and lowest loss, and whether it was."""

    steps: int
    first: float
    lowest: float
    passed: bool


def learn_one_batch(
    task: nn.Module, tensors: tuple[Tensor, ...], settings: LoopSettings, chance: float
) -> OneBatch:
    """Train a copy of `task` on one batch, at most `overfit_one_batch` steps.

    Args:
        task: maps the batch to a scalar loss; it stays as it was.
        tensors: the batch, on the device of the task.
        settings: optimiser, peak rate, precision and number of steps.
        chance: the loss of a model that knows nothing.
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
        if lowest < LEARNED * chance:
            return OneBatch(step + 1, first, lowest, True)
    return OneBatch(settings.overfit_one_batch, first, lowest, False)


def verdict(result: OneBatch, chance: float) -> str:
    """Return the result in words, with likely causes where the batch was not learned."""
    figures = f"loss {result.first:.4f} -> {result.lowest:.4f} in {result.steps} steps"
    figures += f", chance {chance:.4f}"
    if result.passed:
        return f"overfit-one-batch passed: {figures}"
    if result.lowest > (1 - STILL) * result.first:
        cause = (
            "the loss does not move: is a part frozen, detached or dead, or the rate far too small?"
        )
    else:
        cause = (
            "the loss moves, but not far enough: more steps or a larger rate; a sigmoid or softmax"
            " too many before the loss; strong augmentation or dropout inside the model"
        )
    return f"overfit-one-batch failed: {figures}. Likely: {cause}"
