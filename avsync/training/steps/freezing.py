"""Which part of a trained model learns on: all, the last layers, or what joins its encoders."""

from typing import Literal, get_args

from torch import nn

Encoders = Literal["frozen", "last", "all"]
# What sync tasks call their encoders.
NAMES = ("mouth", "mel", "visual", "audio")


def freeze(model: nn.Module, encoders: Encoders) -> tuple[str, ...]:
    """Freeze a model's encoders, or all but the last layer of each; the names of the modules that
    are frozen, which should stay in eval mode.

    ValueError where nothing would be left to train.
    """
    if encoders not in get_args(Encoders):
        raise ValueError(f"encoders must be frozen, last or all, got {encoders!r}")
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    if encoders == "all":
        return ()
    found = [name for name in NAMES if isinstance(getattr(model, name, None), nn.Module)]
    if not found:
        raise ValueError(f"model has no encoder called {', '.join(NAMES)}: tune it with all")
    kept = {_last_layer(model, name) for name in found} if encoders == "last" else set()
    frozen = tuple(
        name
        for encoder in found
        for name, module in _parts(model.get_submodule(encoder), encoder, kept)
        if name not in kept
    )
    for name in found:
        model.get_submodule(name).requires_grad_(False)
    for name in kept:
        model.get_submodule(name).requires_grad_(True)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"{type(model).__name__} is nothing but its encoders {' and '.join(found)}: "
            "nothing learns while they are frozen; take last or all"
        )
    return frozen


def _parts(module: nn.Module, name: str, kept: set[str]) -> list[tuple[str, nn.Module]]:
    """Return the largest modules that hold none of those that are kept, and those that are kept."""
    inside = [each for each in kept if each == name or each.startswith(f"{name}.")]
    if not inside or name in kept:
        return [(name, module)]
    parts = []
    for child_name, child in module.named_children():
        parts += _parts(child, f"{name}.{child_name}", kept)
    return parts


def _last_layer(model: nn.Module, name: str) -> str:
    """Return the last of an encoder's modules that has weights; of a sequence, the last in it."""
    module = model.get_submodule(name)
    while True:
        weighty = [
            (child_name, child)
            for child_name, child in module.named_children()
            if any(True for _ in child.parameters())
        ]
        # A block of several modules is one layer; an encoder or a sequence is gone into.
        if not weighty or ("." in name and not isinstance(module, nn.Sequential)):
            return name
        name, module = f"{name}.{weighty[-1][0]}", weighty[-1][1]
