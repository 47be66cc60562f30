"""Read published checkpoints without running code, and match them name by name to our models."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avsync.convert.pickle_scan import printable_name
from avsync.convert.torch_file import PICKLE_START, ZIP_START, load_torch_file
from avsync.weights import FOREIGN_STARTS, read_tensors

MAX_LISTED = 5  # names of each kind that a message lists
# Batch counters are used in training only. Files older than PyTorch 0.4.1 have none; torch also
# takes them to be 0 there.
COUNTER = ".num_batches_tracked"


def read_upstream(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a `.pth` or `.safetensors` file on the CPU, by their upstream names.

    `{"state_dict": ...}` and `{"model_state_dict": ...}` are unwrapped; optimizers and counters
    beside them are left out.

    Raises:
        RuntimeError: the file is not a checkpoint; the message says what it is.
    """
    path = Path(path)
    try:
        return _tensors(path, _load(path))
    except OSError as error:
        raise RuntimeError(f"{path} could not be read: {error.strerror or error}") from error


def convert_state(
    state_dict: Mapping[str, Tensor],
    model: nn.Module,
    upstream_name: Callable[[str], str],
    adapt: Callable[[str, Tensor], Tensor] | None = None,
    ignored: Collection[str] = (),
) -> dict[str, Tensor]:
    """Rename an upstream state dict to the keys of a model, none invented and none left over.

    Tensors keep their dtype, except that half precision becomes float32.

    Args:
        state_dict: tensors by upstream name; the prefix `module.` is removed if all names have it.
        model: our model, for its names and shapes; it may be on the meta device.
        upstream_name: maps a name of ours to the upstream one.
        adapt: maps (our name, floating-point tensor in float64) to the tensor in our layout and
            scale.
        ignored: endings of upstream names that carry no information and are skipped.

    Raises:
        RuntimeError: tensors are missing, unexpected, of another shape or not finite; the message
            lists their upstream names.
    """
    given = _without_module_prefix(state_dict)
    ours = model.state_dict()
    sources = {name: upstream_name(name) for name in ours}
    if not any(name.endswith(COUNTER) for name in given):
        given |= {name: torch.tensor(0) for name in sources.values() if name.endswith(COUNTER)}
    used = set(sources.values())
    missing = [name for name in dict.fromkeys(sources.values()) if name not in given]
    endings = tuple(ignored)
    unexpected = [name for name in given if name not in used and not name.endswith(endings)]
    if missing or unexpected:
        faults = _fault("missing", missing) + _fault("unexpected", unexpected)
        raise RuntimeError(f"the checkpoint is of another model: {'; '.join(faults)}")
    converted: dict[str, Tensor] = {}
    misshapen, not_finite = [], []
    for name, expected in ours.items():
        source = given[sources[name]]
        tensor = _adapted(name, source, adapt)
        if tensor is None or not _fits(tensor, expected):
            misshapen.append(_mismatch(sources[name], source, expected))
        elif not torch.isfinite(tensor).all():
            not_finite.append(sources[name])
        else:
            converted[name] = tensor
    if misshapen or not_finite:
        faults = _fault("misshapen", misshapen) + _fault("not finite", not_finite)
        raise RuntimeError(f"the checkpoint does not fit: {'; '.join(faults)}")
    return converted


def _without_module_prefix(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # DataParallel holds the model it trains as an attribute of this name.
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
        return None  # the tensor does not have the layout that `adapt` expects


def _fits(tensor: Tensor, expected: Tensor) -> bool:
    return (
        tensor.shape == expected.shape
        and tensor.is_floating_point() == expected.is_floating_point()
    )


def _mismatch(name: str, source: Tensor, expected: Tensor) -> str:
    if source.is_floating_point() != expected.is_floating_point():
        return f"{printable_name(name)} {source.dtype}"
    return (
        f"{printable_name(name)} {tuple(source.shape)}, which does not give {tuple(expected.shape)}"
    )


def _fault(kind: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return [f"{len(names)} {kind}: {', '.join(map(printable_name, names[:MAX_LISTED]))}{more}"]


def _load(path: Path) -> Any:
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
        return load_torch_file(path)
    # A web page may start with line feeds or a byte order mark.
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, meaning in FOREIGN_STARTS.items():
        if text.startswith(signature):
            raise RuntimeError(f"{path} is not a checkpoint but {meaning}")
    raise RuntimeError(f"{path} is not a checkpoint: neither torch.save nor safetensors wrote it")


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not any(isinstance(v, Tensor) for v in content.values()):
        names = list(content)[:MAX_LISTED] if isinstance(content, dict) else []
        found = f" but {', '.join(printable_name(str(n)) for n in names)}" if names else ""
        raise RuntimeError(f"{path} holds no tensors by name{found}")
    tensors = {
        name: value.detach()
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if others := [printable_name(str(name)) for name in content if name not in tensors]:
        raise RuntimeError(f"{path} holds more than tensors: {', '.join(others[:MAX_LISTED])}")
    return tensors
