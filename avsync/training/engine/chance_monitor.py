"""Chance-level monitor: warn of a loss that stays at chance, and list likely causes."""

import math
from typing import Any

from torch import nn

# A mean loss above this share of the chance level counts as at chance.
AT_CHANCE = 0.98
# A gradient norm below this changes nothing, for a loss of the order of 1.
NO_GRADIENT = 1e-5
NAMES_SHOWN = 3
# Causes that a run cannot tell by itself.
GENERAL_CAUSES = (
    "it is not known whether model, loss and learning rate can learn at all: run with"
    " --overfit-one-batch 300; if that fails the fault is there, if it passes it is in the data",
    "the data: clips whose audio is shifted, of someone else or silent, or crops without a mouth,"
    " make every label wrong; look at audit.txt and contact_sheet.png",
    "the negatives are too similar to the positives: start with far shifts, and longer windows",
    "the learning rate is too high (try a tenth) or too low (try ten times as much)",
    "too early: from scratch, a small rate leaves chance only after thousands of steps",
)


class ChanceMonitor:
    """Compare the mean loss of every `after` steps with the chance level.

    Args:
        chance: loss at chance level; not positive or not finite turns the monitor off.
        after: steps per mean; 0 turns the monitor off.
        clip: largest gradient norm, to which longer gradients are clipped.
    """

    def __init__(self, chance: float, after: int, clip: float) -> None:
        self.chance, self.after, self.clip = chance, after, clip
        self.count = self.clipped = 0
        self.loss = self.gradient = 0.0

    def update(self, task: nn.Module, loss: float, gradient: float) -> str | None:
        """Record a step before its gradients are cleared.

        Args:
            task: the trained module.
            loss: loss of the step.
            gradient: norm of the gradient before clipping.

        Returns:
            A warning with likely causes if the last `after` steps are at chance, else None.
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
            causes = (f"  - {cause}" for cause in self._causes(task))
            text = "\n".join([self._headline(mean), *causes])
        self.count = self.clipped = 0
        self.loss = self.gradient = 0.0
        return text

    def _causes(self, task: nn.Module) -> list[str]:
        """Return likely causes, first those that the recorded steps show."""
        found = []
        if silent := _without_gradient(task):
            names = ", ".join(silent[:NAMES_SHOWN]) + (", ..." if silent[NAMES_SHOWN:] else "")
            trained = sum(parameter.requires_grad for parameter in task.parameters())
            found.append(
                f"no gradient reaches {len(silent)} of {trained} parameters ({names}): a part"
                " that is unused, cut off by detach or no_grad, or dead"
            )
        if self.gradient / self.count < NO_GRADIENT:
            found.append(
                f"the gradient is as good as zero ({self.gradient / self.count:.1g}): the outputs"
                " are saturated or all equal"
            )
        if self.clipped > 0.9 * self.count:
            found.append(
                f"the gradient was clipped to {self.clip:g} in {self.clipped} of {self.count}"
                " steps: the learning rate may be too high, try a tenth"
            )
        return [*found, *GENERAL_CAUSES]

    def _headline(self, mean: float) -> str:
        return (
            f"the loss is at chance: {mean:.4f} over the last {self.count} steps, where the chance"
            f" level is {self.chance:.4f}. Likely causes, most likely first:"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the sums over the steps since the last mean."""
        return {name: getattr(self, name) for name in ("count", "clipped", "loss", "gradient")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def _without_gradient(task: nn.Module) -> list[str]:
    return [
        name
        for name, parameter in task.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
