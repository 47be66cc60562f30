"""The alarm: a loss that sits at chance is the commonest trouble in this field; say why it may."""

import math
from typing import Any

from torch import nn

# A mean loss above this share of chance counts as knowing nothing.
AT_CHANCE = 0.98
# A gradient shorter than this, beside a loss of the order of 1, moves nothing.
NO_GRADIENT = 1e-5
NAMES_SHOWN = 3


class ChanceMonitor:
    """Compares the mean loss of every `after` steps with chance.

    Args:
        chance: the loss of a model that knows nothing.
        after: steps per mean, 0 for no alarm.
        clip: length to which gradients are shortened.
    """

    def __init__(self, chance: float, after: int, clip: float) -> None:
        self.chance, self.after, self.clip = chance, after, clip
        self.count = self.clipped = 0
        self.loss = self.gradient = 0.0

    def see(self, task: nn.Module, loss: float, gradient: float) -> str | None:
        """Take in a step, whose gradients are still there; the alarm's text where there is one.

        Args:
            task: the module that is trained.
            loss: of the step.
            gradient: length of the gradient before it was shortened.
        """
        if not self.after or not math.isfinite(self.chance) or self.chance <= 0:
            return None
        self.count += 1
        self.loss += loss
        self.gradient += gradient
        self.clipped += gradient > self.clip
        if self.count < self.after:
            return None
        mean = self.loss / self.count
        text = None
        if mean > AT_CHANCE * self.chance:
            text = "\n".join([self._headline(mean), *(f"  - {each}" for each in self.causes(task))])
        self.count = self.clipped = 0
        self.loss = self.gradient = 0.0
        return text

    def causes(self, task: nn.Module) -> list[str]:
        """Likely causes, those first that the steps since the last mean speak for."""
        found = []
        if silent := _without_gradient(task):
            some = ", ".join(silent[:NAMES_SHOWN]) + (", ..." if silent[NAMES_SHOWN:] else "")
            found.append(
                f"no gradient reaches {len(silent)} of {_trained(task)} parameters ({some}): a part"
                " that is unused, cut off by detach or no_grad, or dead"
            )
        if self.gradient / self.count < NO_GRADIENT:
            found.append(
                f"the gradient is as good as zero ({self.gradient / self.count:.1g}): the outputs"
                " are saturated or all alike"
            )
        if self.clipped > 0.9 * self.count:
            found.append(
                f"the gradient was shortened to {self.clip:g} in {self.clipped} of {self.count}"
                " steps: the learning rate may be too high, try a tenth"
            )
        return [*found, *GENERAL]

    def _headline(self, mean: float) -> str:
        return (
            f"the loss is at chance: {mean:.4f} over the last {self.count} steps, where"
            f" a model that knows nothing gets {self.chance:.4f}. Likely causes, likeliest first:"
        )

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("count", "clipped", "loss", "gradient")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)


GENERAL = (
    "not known whether model, loss and rate can learn at all: run with --overfit-one-batch 300; if"
    " that fails the fault is there, if it passes it is in the data",
    "the data: clips whose audio is shifted, of someone else or silent, or crops without a mouth,"
    " make every label wrong; look at audit.txt and contact_sheet.png",
    "the wrong pairs are too much like the right ones: start with far shifts, and longer windows",
    "the learning rate is too high (try a tenth) or too low (try ten times as much)",
    "too early: from scratch, a small rate leaves chance only after thousands of steps",
)


def _trained(task: nn.Module) -> int:
    return sum(each.requires_grad for each in task.parameters())


def _without_gradient(task: nn.Module) -> list[str]:
    return [
        name
        for name, each in task.named_parameters()
        if each.requires_grad and (each.grad is None or not each.grad.any())
    ]
