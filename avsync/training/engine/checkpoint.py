"""Training checkpoints: the state from which a stopped run resumes, and the weights at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from avsync import weights as checkpoints
from avsync.atomic import replacing
from avsync.convert.torch_file import load_torch_file
from avsync.hub import weights_path
from avsync.tasks.card import Config
from avsync.tasks.registry import create_model

STATE_FILE = "state.pt"


class Stateful(Protocol):
    """An object with a state dict: a module, an optimiser, the log."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class RunState:
    """Save and load the components of a run together, with the number of steps that are done.

    Args:
        path: the file; the previous one stays complete until the new one is.
        components: what is saved, by name.
    """

    def __init__(self, path: Path, components: dict[str, Stateful]) -> None:
        self.path = path
        self.components = components

    def save(self, step: int) -> None:
        """Write the state after `step` steps."""
        state = {name: component.state_dict() for name, component in self.components.items()}
        with replacing(self.path) as partial:
            torch.save({**state, "step": step}, partial)

    def resume(self) -> int:
        """Load the state if there is one.

        Returns:
            The number of steps that are done, 0 without a state.

        Raises:
            RuntimeError: the file is damaged or belongs to another run.
        """
        for unfinished in self.path.parent.glob(f".{self.path.stem}.*.part{self.path.suffix}"):
            # Left by a run that was killed while it saved.
            unfinished.unlink(missing_ok=True)
        if not self.path.exists():
            return 0
        try:
            # Nothing in it is executed, and it cannot unpack to more than it is.
            state = load_torch_file(self.path)
            for name, component in self.components.items():
                component.load_state_dict(state[name])
            return int(state["step"])
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            cause = " ".join(str(error).split())
            raise RuntimeError(
                f"{self.path} does not fit this run; choose another output, or remove it: {cause}"
            ) from error


class InitialModel(NamedTuple):
    """A model in train mode before the first step.

    Args:
        name: its name in the registry.
        model: the model, an `nn.Module` of the class that the registry builds.
        config: config that rebuilds it.
    """

    name: str
    model: Any
    config: dict[str, Any]


def start_model(name: str, config: Config, init: Path | None) -> InitialModel:
    """Build the model that a run starts from.

    Args:
        name: name of the model in the registry.
        config: its config, if it gets fresh weights.
        init: weights to start from instead; their config applies.
    """
    if init is None:
        return InitialModel(name, create_model(name, config=config).train(), dict(config))
    path = weights_path(init)
    model = create_model(name, weights=path)
    return InitialModel(name, model.train(), checkpoints.load(path).config)


def save_model(
    folder: Path, name: str, task: nn.Module, config: Mapping[str, Any], half: bool = False
) -> Path:
    """Write the `model` of a training step as `NAME.safetensors` with its config.

    Args:
        folder: output folder.
        name: name of the model in the registry.
        task: the trained module, whose attribute `model` is written.
        config: config that rebuilds the model.
        half: write float16 instead of float32.

    Returns:
        The path of the weights.
    """
    path = folder / f"{name}.safetensors"
    checkpoints.save(path, task.get_submodule("model").state_dict(), config, half=half)
    return path
