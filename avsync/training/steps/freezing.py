"""Freeze the encoders of a sync model for fine-tuning, completely or but for their last layers."""

from typing import Literal, get_args

from torch import nn

Encoders = Literal["frozen", "last", "all"]
# Attributes in which sync tasks keep their encoders.
NAMES = ("mouth", "mel", "visual", "audio")


def freeze_encoders(model: nn.Module, encoders: Encoders) -> tuple[str, ...]:
    """Freeze the encoders of a model.

    Args:
        model: a sync model.
        encoders: `frozen` freezes them, `last` all but the last layer of each, `all` nothing.

    Returns:
        Names of the frozen modules, which should stay in eval mode.

    Raises:
        ValueError: no encoder is found, or nothing would be left to train.
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
    trained = {_last_layer(model, name) for name in found} if encoders == "last" else set()
    frozen = tuple(
        name
        for encoder in found
        for name, module in _split(model.get_submodule(encoder), encoder, trained)
        if name not in trained
    )
    for name in found:
        model.get_submodule(name).requires_grad_(False)
    for name in trained:
        model.get_submodule(name).requires_grad_(True)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"{type(model).__name__} is nothing but its encoders {' and '.join(found)}: "
            "nothing learns while they are frozen; take last or all"
        )
    return frozen


def _split(module: nn.Module, name: str, trained: set[str]) -> list[tuple[str, nn.Module]]:
    """Split a module into the trained modules and the largest ones that contain none of them."""
    inside = [other for other in trained if other == name or other.startswith(f"{name}.")]
    if not inside or name in trained:
        return [(name, module)]
    parts = []
    for child_name, child in module.named_children():
        parts += _split(child, f"{name}.{child_name}", trained)
    return parts


def _last_layer(model: nn.Module, name: str) -> str:
    """Return the name of an encoder's last module with weights; in a sequence, of its last item."""
    module = model.get_submodule(name)
    while True:
        weighty = [
            (child_name, child)
            for child_name, child in module.named_children()
            if any(True for _ in child.parameters())
        ]
        # A block of several modules is one layer; encoders and sequences are descended into.
        if not weighty or ("." in name and not isinstance(module, nn.Sequential)):
            return name
        name, module = f"{name}.{weighty[-1][0]}", weighty[-1][1]
