"""What a stopped run needs to go on, in one file that is whole or not there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from avsync import weights as checkpoints
from avsync.atomic import replacing
from avsync.tasks.registry import create_model

STATE_FILE = "state.pt"


class HasState(Protocol):
    """Anything that can give its state and take it back: modules, optimisers, the log."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class RunState:
    """Saves and loads the parts of a run together, with the steps that are done.

    Args:
        path: the file; the one before it stays whole until the new one is.
        parts: what is saved, by name.
    """

    def __init__(self, path: Path, parts: dict[str, HasState]) -> None:
        self.path = path
        self.parts = parts

    def save(self, step: int) -> None:
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with replacing(self.path) as beside:
            torch.save({**state, "step": step}, beside)

    def resume(self) -> int:
        """Load the state if there is one; the step to go on from."""
        for unfinished in self.path.parent.glob(f".{self.path.stem}.*.part{self.path.suffix}"):
            # What a run left that was killed while it saved.
            unfinished.unlink(missing_ok=True)
        if not self.path.is_file():
            return 0
        try:
            state = torch.load(self.path, weights_only=True, map_location="cpu")
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except (RuntimeError, KeyError, ValueError) as error:
            raise RuntimeError(
                f"{self.path} does not fit this run; choose another output, or remove it: {error}"
            ) from error
        return int(state["step"])


class Start(NamedTuple):
    """A model in train mode, and the config that rebuilds it."""

    model: nn.Module
    config: dict[str, Any]


def start_model(name: str, config: Mapping[str, Any], init: Path | None) -> Start:
    """Return a model with fresh weights of that config, or with those of `init`, whose config it has."""
    if init is None:
        return Start(create_model(name, config=config).train(), dict(config))
    model = create_model(name, weights=init)
    return Start(model.train(), checkpoints.load(init).config)


def save_model(folder: Path, name: str, task: nn.Module, config: Mapping[str, Any]) -> Path:
    """Write the `model` of a training step as `NAME.safetensors`, its config beside it."""
    path = folder / f"{name}.safetensors"
    checkpoints.save(path, task.get_submodule("model").state_dict(), config)
    return path
