"""A teacher: a model that is asked and learns nothing."""

from typing import Any, Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class FrozenTeacher(Generic[Model]):
    """A model in eval mode, without gradients.

    No module: it is no part of what a training step learns, saves and averages, and copies of the
    step share it.
    """

    def __init__(self, model: Model) -> None:
        self.model = model.eval().requires_grad_(False)

    def __deepcopy__(self, _: dict[int, Any]) -> "FrozenTeacher[Model]":
        return self

    def on(self, device: torch.device) -> Model:
        """The model, moved there where it is not yet."""
        return self.model.to(device)
