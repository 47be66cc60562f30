"""Fetch, verify, load and save weights.

A checkpoint is `x.safetensors` with its config, `x.json`, beside it. The config of a sync model may
also hold the `calibration` of its scores.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import urlopen

from avsync.atomic import replacing, write_text
from avsync.json_files import read_json
from avsync.outputs import OutputKind, check_output

if TYPE_CHECKING:
    from torch import Tensor

# Released weights, their configs, and the face detector.
PRETRAINED = Path(__file__).parent / "pretrained"
CONVERT_FIRST = "run `avsync convert NAME FILE -o OUT.safetensors` on published weights first"
REINSTALL = (
    "reinstall avsync; to use changed weights, a changed config or another calibration, copy both "
    "files elsewhere and name the copy as your own weights"
)
# The key of the calibration in the config file; all other keys are fields of the config.
CALIBRATION = "calibration"
# Larger than the weights of any of the models in float32; a larger file is no download of ours.
MAX_WEIGHTS_BYTES = 4 << 30
# First bytes of files that are not safetensors -> what such a file is.
FOREIGN_STARTS = {
    b"PK\x03\x04": f"a PyTorch or zip archive, which could run code when read; {CONVERT_FIRST}",
    b"\x80": f"a Python pickle, which could run code when read; {CONVERT_FIRST}",
    b"<": "a web page: the download was answered with an error page or a login",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}


# The header of a safetensors file is a JSON object after its length of 8 bytes.
SAFETENSORS = OutputKind("a safetensors file", lambda head: head[8:9] == b"{")
CONFIG = OutputKind("the config of weights beside it", lambda head: False)


class Checkpoint(NamedTuple):
    """A checkpoint as it is loaded.

    Args:
        state_dict: tensors of the model by name.
        config: what the build function takes.
        calibration: calibration of the model's scores, if one was fitted.
    """

    state_dict: dict[str, "Tensor"]
    config: dict[str, Any]
    calibration: dict[str, Any] | None = None


def cache_folder() -> Path:
    """Return the folder of fetched files: `AVSYNC_CACHE`, or `avsync` in the user's cache."""
    if chosen := os.environ.get("AVSYNC_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avsync"


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_config(path: str | Path) -> str:
    """Return the SHA-256 of the config beside weights, with its calibration, as 64 hex digits.

    Hashed are the values, as JSON with sorted keys and without spaces, and not the bytes: line ends
    that git converts, indentation and the order of keys change no result.
    """
    return _sha256_of_values(_read_config(Path(path)))


def sha256_of_state(state_dict: Mapping[str, "Tensor"]) -> str:
    """Return the SHA-256 of a model's tensors and their names as 64 hex digits."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fetch(
    url: str,
    sha256: str | None,
    destination: str | Path,
    timeout_s: float = 5.0,
    max_bytes: int = MAX_WEIGHTS_BYTES,
) -> Path:
    """Download `url` to `destination`, unless a file with this hash is there already.

    Args:
        url: the address.
        sha256: the expected hash; None for a file whose content is checked otherwise, which is
            downloaded each time.
        destination: the file that is written.
        timeout_s: longest time to the first answer, in seconds.
        max_bytes: a longer file is refused.

    Raises:
        RuntimeError: the server does not answer within `timeout_s`, leads from https to another
            protocol, or the file is too large or has another hash; a file that was at `destination`
            before is then unchanged.
    """
    destination = Path(destination)
    if sha256 and destination.is_file() and sha256_of(destination) == sha256:
        return destination
    try:
        with replacing(destination) as beside:
            answer = _within(timeout_s, lambda: urlopen(url, timeout=timeout_s))
            with answer, open(beside, "wb") as file:
                if url.startswith("https:") and not answer.geturl().startswith("https:"):
                    raise RuntimeError(f"{url} leads to {answer.geturl()}, which is not https")
                while chunk := answer.read(1 << 20):
                    if file.tell() + len(chunk) > max_bytes:
                        raise RuntimeError(f"{url} is larger than {max_bytes} bytes")
                    file.write(chunk)
            if sha256 and (found := sha256_of(beside)) != sha256:
                raise RuntimeError(
                    f"{url} is not the expected file: sha256 {found}, expected {sha256}"
                )
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", None) or error or type(error).__name__
        raise RuntimeError(f"could not fetch {url}: {cause}") from error
    return destination


def save(
    path: str | Path,
    state_dict: Mapping[str, "Tensor"],
    config: Mapping[str, Any],
    half: bool = False,
    *,
    overwrite: bool = False,
) -> None:
    """Write `path` (.safetensors) and the config beside it (.json), each atomically.

    Tensors keep their dtype; with `half`, floating-point tensors are written in half precision,
    except those that hold a number out of its range. Earlier weights are replaced; any other file
    of these names, such as a JSON file without weights beside it, with `overwrite` only.

    Raises:
        ValueError: the suffix is not .safetensors, or the config is not plain JSON.
        OSError: a file may not be replaced.
    """
    from safetensors.torch import save as to_bytes

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"path must end in .safetensors, got {path}")
    text = _json_text(config)
    check_output(path, SAFETENSORS, overwrite=overwrite)
    if not path.exists():
        check_output(path.with_suffix(".json"), CONFIG, overwrite=overwrite)
    # Clones, because safetensors refuses tensors that share memory (tied weights, slices).
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in state_dict.items()}
    if half:
        tensors = {name: _halved(tensor) for name, tensor in tensors.items()}
    config_path = path.with_suffix(".json")
    with replacing(path) as beside:
        beside.write_bytes(to_bytes({k: tensor.contiguous() for k, tensor in tensors.items()}))
        # A process that is killed between the two files must not leave new weights beside the
        # config of old ones: without a config they are refused.
        config_path.unlink(missing_ok=True)
    write_text(config_path, text)


def save_calibration(path: str | Path, calibration: Mapping[str, float | None]) -> None:
    """Add the calibration of a model's scores to the config beside its weights, or replace it.

    Args:
        path: the weights (.safetensors), which stay as they are.
        calibration: the fields of `avsync.tasks.Calibration`.
    """
    beside = Path(path).with_suffix(".json")
    write_text(beside, _json_text({**_read_config(beside), CALIBRATION: dict(calibration)}))


def load(
    path: str | Path,
    sha256: str | None = None,
    as_float32: bool = False,
    config_sha256: str | None = None,
) -> Checkpoint:
    """Load a checkpoint on the CPU, after verifying its hashes if they are given.

    Args:
        path: the weights (.safetensors), with their config (.json) beside them.
        sha256: the expected hash of the weights.
        as_float32: widen half-precision tensors; released weights are stored in half precision.
        config_sha256: the expected hash of the config, see `sha256_of_config`.

    Raises:
        RuntimeError: a file is missing, damaged, not safetensors, or has another hash.
    """
    path = Path(path)
    _refuse_foreign(path)
    if sha256 is not None and (found := sha256_of(path)) != sha256:
        raise RuntimeError(
            f"{path} is not the expected file: sha256 {found}, expected {sha256}; {REINSTALL}"
        )
    config_path = path.with_suffix(".json")
    config = _read_config(config_path)
    if config_sha256 is not None and (found := _sha256_of_values(config)) != config_sha256:
        raise RuntimeError(
            f"the config {config_path} was changed: sha256 of its values {found}, "
            f"expected {config_sha256}; {REINSTALL}"
        )
    tensors = read_tensors(path)
    if as_float32:
        tensors = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }
    calibration = config.pop(CALIBRATION, None)
    if not isinstance(calibration, dict | None):
        raise RuntimeError(f"the calibration in {config_path} must be a JSON object")
    return Checkpoint(tensors, config, calibration)


def read_tensors(path: str | Path) -> dict[str, "Tensor"]:
    """Read the tensors of a safetensors file by name, on the CPU; RuntimeError if damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise RuntimeError(f"{path} is damaged or cut short: {error}") from error


def _halved(tensor: "Tensor") -> "Tensor":
    """Halve the precision if the values fit; a batch norm's variance may be in millions."""
    if not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    return halved if halved.isfinite().equal(tensor.isfinite()) else tensor


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        raise RuntimeError(f"{path} is a folder, not a weights file (.safetensors)")
    if not path.is_file():
        raise RuntimeError(f"there is no weights file {path}")
    with open(path, "rb") as file:
        start = file.read(32)
    if not start:
        raise RuntimeError(f"{path} is empty")
    for signature, meaning in FOREIGN_STARTS.items():
        # A safetensors file starts with the length of its header, whose low byte may equal one of
        # these; the header's `{` is at byte 8.
        if start.startswith(signature) and start[8:9] != b"{":
            raise RuntimeError(f"{path} is not a safetensors file but {meaning}")
    header, size = int.from_bytes(start[:8], "little"), path.stat().st_size
    if start[8:9] != b"{":
        raise RuntimeError(f"{path} is damaged or cut short, or not a safetensors file")
    if header > size - 8:
        cause = f"its header claims {header} bytes, and the file has {size}"
        raise RuntimeError(f"{path} is damaged or cut short: {cause}")


def _sha256_of_values(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _json_text(config: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(config), indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"config must be plain JSON: {error}") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path)
    except FileNotFoundError as error:
        raise RuntimeError(f"there is no config {path} beside the weights") from error
    except OSError as error:
        raise RuntimeError(f"the config {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RuntimeError(f"the config {path} is damaged: {error}") from error
    if not isinstance(config, dict):
        raise RuntimeError(f"the config {path} must be a JSON object, got {type(config).__name__}")
    return config


def _within(timeout_s: float, open_url: Callable[[], Any]) -> Any:
    # In a thread: a socket's timeout does not cover the DNS lookup, which can hang for longer.
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(open_url())
        except (OSError, HTTPException, ValueError) as error:
            outcome.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(timeout_s)
    if not outcome:
        raise TimeoutError(f"no answer within {timeout_s:g} s")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
