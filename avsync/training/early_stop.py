"""Early stop: when measuring has long found nothing better, the best weights are kept."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn


class Watch(NamedTuple):
    """The figure of a validation that says which weights are best, and in which direction."""

    figure: str
    higher_is_better: bool = True

    @property
    def worst(self) -> float:
        return -math.inf if self.higher_is_better else math.inf

    def better(self, value: float, than: float) -> bool:
        return value > than if self.higher_is_better else value < than


class EarlyStop:
    """Stop a run when its validation has not improved for a while, and keep the best weights.

    Args:
        patience: measurements without an improvement after which to stop; 0 never stops, and keeps
            no copy.
        watch: the figure to improve, wherever it stands among the others.

    Raises:
        ValueError: patience without a figure to watch.
    """

    def __init__(self, patience: int, watch: Watch | None = None) -> None:
        if patience and watch is None:
            raise ValueError("patience needs a figure to watch: fit(..., watch=Watch(NAME))")
        self.patience, self.watch = patience, watch
        self.best = -math.inf if watch is None else watch.worst
        self.since = 0
        self.kept: dict[str, Tensor] = {}

    @property
    def stops(self) -> bool:
        return 0 < self.patience <= self.since

    def see(self, figures: Mapping[str, float], averaged: nn.Module) -> None:
        """Take in a measurement of the averaged weights.

        Raises:
            ValueError: the figure that is watched is not in it.
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
            self.kept = {name: each.clone() for name, each in averaged.state_dict().items()}
        else:
            self.since += 1

    def put_back(self, averaged: nn.Module) -> None:
        """Gives the module the best weights seen, if any were kept."""
        if self.kept:
            averaged.load_state_dict(self.kept)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "since": self.since, "kept": self.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.since = state_dict["best"], state_dict["since"]
        self.kept = state_dict["kept"]
