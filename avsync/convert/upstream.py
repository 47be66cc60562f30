"""Published checkpoints: read without running what is in them, and matched name by name to ours."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avsync.convert.pickle_scan import shown
from avsync.convert.torch_file import PICKLE_START, ZIP_START, read_torch_file
from avsync.weights import FOREIGN_STARTS, read_tensors

NAMED = 5  # keys that a message names of each kind
# Counts batches in training and nothing else. Files older than PyTorch 0.4.1 have none; torch too
# takes it for 0 there.
COUNTER = ".num_batches_tracked"


def read_upstream(path: str | Path) -> dict[str, Tensor]:
    """Reads the tensors of a `.pth` or `.safetensors` file on the CPU, by upstream's names.

    Unwraps `{"state_dict": ...}`; optimizers and counters beside it are left out. RuntimeError says
    in plain words what the file is where it is no checkpoint.
    """
    path = Path(path)
    try:
        return _tensors(path, _content(path))
    except OSError as error:
        raise RuntimeError(f"{path} could not be read: {error.strerror or error}") from error


def convert_state(
    state_dict: Mapping[str, Tensor],
    model: nn.Module,
    upstream_of: Callable[[str], str],
    adapt: Callable[[str, Tensor], Tensor] | None = None,
    ignored: Collection[str] = (),
) -> dict[str, Tensor]:
    """Renames an upstream state dict to the keys of `model`, none invented and none left over.

    Tensors keep their dtype, except that half precision becomes float32.

    Args:
        state_dict: tensors by upstream's names; `module.` is taken off where every name has it.
        model: ours, for its names and shapes; it may lie on the meta device.
        upstream_of: from a name of ours to upstream's.
        adapt: maps (our name, floating tensor in float64) to the tensor in our layout and scale.
        ignored: endings of upstream names that carry nothing; they are not looked at.

    RuntimeError names, as upstream does, what is missing, what is left over, what has another shape
    and what is not finite.
    """
    given = _without_module(state_dict)
    ours = model.state_dict()
    sources = {name: upstream_of(name) for name in ours}
    if not any(name.endswith(COUNTER) for name in given):
        given |= {name: torch.tensor(0) for name in sources.values() if name.endswith(COUNTER)}
    used = set(sources.values())
    missing = [name for name in dict.fromkeys(sources.values()) if name not in given]
    ends = tuple(ignored)
    unexpected = [name for name in given if name not in used and not name.endswith(ends)]
    if missing or unexpected:
        faults = _list("missing", missing) + _list("unexpected", unexpected)
        raise RuntimeError(f"the checkpoint is of another model: {'; '.join(faults)}")
    converted: dict[str, Tensor] = {}
    misshapen, broken = [], []
    for name, wanted in ours.items():
        source = given[sources[name]]
        tensor = _adapted(name, source, adapt)
        if tensor is None or not _fits(tensor, wanted):
            misshapen.append(_mismatch(sources[name], source, wanted))
        elif not torch.isfinite(tensor).all():
            broken.append(sources[name])
        else:
            converted[name] = tensor
    if misshapen or broken:
        faults = _list("misshapen", misshapen) + _list("not finite", broken)
        raise RuntimeError(f"the checkpoint does not fit: {'; '.join(faults)}")
    return converted


def _without_module(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # DataParallel wraps the model that it trains in an attribute of this name.
    prefix = "module." if all(name.startswith("module.") for name in state_dict) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state_dict.items()}


def _adapted(
    name: str, source: Tensor, adapt: Callable[[str, Tensor], Tensor] | None
) -> Tensor | None:
    if not source.is_floating_point():
        return source
    dtype = torch.float64 if source.dtype == torch.float64 else torch.float32
    if adapt is None:
        return source.to(dtype)
    try:
        return adapt(name, source.double()).to(dtype)
    except (RuntimeError, ValueError, IndexError):
        return None  # the layout that `adapt` expects is not there


def _fits(tensor: Tensor, wanted: Tensor) -> bool:
    return tensor.shape == wanted.shape and tensor.is_floating_point() == wanted.is_floating_point()


def _mismatch(name: str, source: Tensor, wanted: Tensor) -> str:
    if source.is_floating_point() != wanted.is_floating_point():
        return f"{shown(name)} {source.dtype}"
    return f"{shown(name)} {tuple(source.shape)}, which does not give {tuple(wanted.shape)}"


def _list(fault: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{len(names)} {fault}: {', '.join(map(shown, names[:NAMED]))}{more}"]


def _content(path: Path) -> Any:
    if not path.exists():
        raise RuntimeError(f"there is no checkpoint {path}")
    if not path.is_file():
        raise RuntimeError(f"{path} is not a file")
    with open(path, "rb") as file:
        start = file.read(32)
    if not start:
        raise RuntimeError(f"{path} is empty")
    if start[8:9] == b"{":
        return read_tensors(path)
    if start.startswith((ZIP_START, PICKLE_START)):
        return read_torch_file(path)
    # A page may open with line feeds or the mark of its encoding.
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, meaning in FOREIGN_STARTS.items():
        if text.startswith(signature):
            raise RuntimeError(f"{path} is not a checkpoint but {meaning}")
    raise RuntimeError(f"{path} is not a checkpoint: neither torch.save nor safetensors wrote it")


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not any(isinstance(v, Tensor) for v in content.values()):
        names = [shown(str(name)) for name in content][:NAMED] if isinstance(content, dict) else []
        found = f" but {', '.join(names)}" if names else ""
        raise RuntimeError(f"{path} holds no tensors by name{found}")
    tensors = {
        name: value.detach()
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if strange := [shown(str(name)) for name in content if name not in tensors]:
        raise RuntimeError(f"{path} holds more than tensors: {', '.join(strange[:NAMED])}")
    return tensors
