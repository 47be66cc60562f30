"""Early stopping: end a run that no longer improves, and keep its best weights."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn


class Watch(NamedTuple):
    """The validation figure by which weights are compared.

    Args:
        figure: its name among the figures of a validation.
        higher_is_better: False for figures such as losses.
    """

    figure: str
    higher_is_better: bool = True

    @property
    def worst(self) -> float:
        """A value that every measured one is better than."""
        return -math.inf if self.higher_is_better else math.inf

    def better(self, value: float, than: float) -> bool:
        """Return whether a value is an improvement on another."""
        return value > than if self.higher_is_better else value < than


class EarlyStop:
    """Early stopping by one figure, which also keeps a copy of the best weights.

    Args:
        patience: measurements without an improvement after which to stop; 0 never stops, and keeps
            no copy.
        watch: the figure to improve, at any position among the others.

    Raises:
        ValueError: patience without a figure to watch.
    """

    def __init__(self, patience: int, watch: Watch | None = None) -> None:
        if patience and watch is None:
            raise ValueError("patience needs a figure to watch: fit(..., watch=Watch(NAME))")
        self.patience, self.watch = patience, watch
        self.best = -math.inf if watch is None else watch.worst
        # Measurements since the best one.
        self.since = 0
        self.best_weights: dict[str, Tensor] = {}

    @property
    def should_stop(self) -> bool:
        """Whether `patience` measurements in a row were no improvement."""
        return 0 < self.patience <= self.since

    def update(self, figures: Mapping[str, float], averaged: nn.Module) -> None:
        """Record the figures measured with the averaged weights.

        Raises:
            ValueError: the watched figure is not among them.
        """
        if not self.patience or self.watch is None:
            return
        if not figures:
            raise ValueError("patience needs something measured: give the recipe held-out clips")
        if self.watch.figure not in figures:
            raise ValueError(
                f"patience watches {self.watch.figure}, measured were {', '.join(figures)}"
            )
        value = figures[self.watch.figure]
        if self.watch.better(value, than=self.best):
            self.best, self.since = value, 0
            self.best_weights = {k: tensor.clone() for k, tensor in averaged.state_dict().items()}
        else:
            self.since += 1

    def restore_best(self, averaged: nn.Module) -> None:
        """Load the best weights into the module, if any were kept."""
        if self.best_weights:
            averaged.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and weights, and the number of measurements since."""
        return {"best": self.best, "since": self.since, "kept": self.best_weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.best, self.since = state_dict["best"], state_dict["since"]
        self.best_weights = state_dict["kept"]
