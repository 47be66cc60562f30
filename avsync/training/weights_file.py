"""The model of a recipe: where it begins, and where its weights go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from avsync import weights as checkpoints
from avsync.registry import create_model


class Start(NamedTuple):
    """A model in train mode, and the config that rebuilds it."""

    model: nn.Module
    config: dict[str, Any]


def start_model(name: str, config: Mapping[str, Any], init: Path | None) -> Start:
    """A model with fresh weights of that config, or with those of `init`, whose config it has."""
    if init is None:
        return Start(create_model(name, config=config).train(), dict(config))
    model = create_model(name, weights=init)
    return Start(model.train(), checkpoints.load(init).config)


def save_model(folder: Path, name: str, task: nn.Module, config: Mapping[str, Any]) -> Path:
    """Writes the `model` of a training step as `NAME.safetensors`, its config beside it."""
    path = folder / f"{name}.safetensors"
    checkpoints.save(path, task.get_submodule("model").state_dict(), config)
    return path
