"""Early stop: when measuring has long found nothing better, the best weights are kept."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class EarlyStop:
    """Watches the first figure of every measurement, of which more is better.

    Args:
        patience: measurements without a better one after which to stop; 0 never stops, and keeps
            no copy.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = float("-inf")
        self.since = 0
        self.kept: dict[str, Tensor] = {}

    @property
    def stops(self) -> bool:
        return 0 < self.patience <= self.since

    def see(self, figures: Mapping[str, float], averaged: nn.Module) -> None:
        """Takes in a measurement of the averaged weights."""
        if not self.patience:
            return
        if not figures:
            raise ValueError("patience needs something measured: give the recipe held-out clips")
        value = next(iter(figures.values()))
        if value > self.best:
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
