"""Extras: packages that some commands need, and the command that installs them."""

from collections.abc import Iterable
from importlib.util import find_spec

# Packages of each extra by the name that they are imported by.
EXTRAS: dict[str, dict[str, str]] = {
    "train": {
        "lightning_fabric": "lightning-fabric",
        "timm": "timm",
        "torchvision": "torchvision",
    },
    "evaluate": {"jiwer": "jiwer", "torchmetrics": "torchmetrics"},
    "hub": {"huggingface_hub": "huggingface_hub"},
    "scale": {"ray": "ray"},
    "tensorboard": {"tensorboard": "tensorboard"},
}


def require_extra(extra: str, what: str, modules: Iterable[str] | None = None) -> None:
    """Check that the packages of an extra are there, before work that would end without them.

    Args:
        extra: a key of `EXTRAS`.
        what: what needs it, for the message: `avsync train`.
        modules: those of its modules that are needed; all by default.

    Raises:
        RuntimeError: one is missing; the message has the command that installs it.
    """
    packages = EXTRAS[extra]
    wanted = packages if modules is None else modules
    missing = [packages[module] for module in wanted if not _is_there(module)]
    if missing:
        raise RuntimeError(f"{what} needs {', '.join(missing)}: pip install 'avsync[{extra}]'")


def _is_there(module: str) -> bool:
    # Found, not imported, which takes seconds.
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
