"""What avsync finds on this machine: packages, device, face detector, model, folders."""

import platform
import sys
import warnings
from importlib import metadata
from typing import NamedTuple

import avsync.tasks.registry as registry
from avsync.faces.detector import find_detector
from avsync.tasks.card import ModelCard
from avsync.weights import cache_folder, sha256_of

CORE = (
    "torch",
    "torchaudio",
    "einops",
    "numpy",
    "scipy",
    "av",
    "opencv-python-headless",
    "safetensors",
    "tyro",
    "rich",
    "jinja2",
)
EXTRAS = {
    "train": ("lightning-fabric", "timm", "torchvision"),
    "evaluate": ("jiwer", "torchmetrics"),
    "landmarks": ("mediapipe",),
}


class Finding(NamedTuple):
    """One thing looked at. `ok` is None for what is not needed to check and fix files."""

    topic: str
    ok: bool | None
    text: str


def doctor() -> tuple[Finding, ...]:
    """Look at the machine; installs nothing, but the face detector may be fetched."""
    return (*_packages(), _device(), _detector(), *_models(), *_surroundings())


def _packages() -> list[Finding]:
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    findings = [
        Finding("avsync", True, metadata.version("avsync")),
        Finding("python", (3, 11) <= sys.version_info < (3, 14), python),
    ]
    for name in CORE:
        version = _version(name)
        findings.append(
            Finding(name, version is not None, version or "missing: pip install avsync")
        )
    for extra, names in EXTRAS.items():
        missing = [name for name in names if _version(name) is None]
        have = ", ".join(f"{name} {_version(name)}" for name in names if name not in missing)
        lack = f"without {', '.join(missing)}: pip install 'avsync[{extra}]'"
        text = "; ".join(part for part in (have, lack if missing else "") if part)
        findings.append(Finding(f"extra {extra}", None if missing else True, text))
    return findings


def _device() -> Finding:
    import torch

    threads = f"CPU with {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return Finding("device", True, f"{threads}; no GPU (none is needed)")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("device", True, f"{', '.join(names)}; {threads}")


def _detector() -> Finding:
    try:
        with warnings.catch_warnings(action="ignore"):  # what it warns of is said below
            detector = find_detector()
    except RuntimeError as error:
        return Finding("face detector", False, str(error))
    if detector.name == "yunet":
        return Finding("face detector", True, "YuNet")
    return Finding(
        "face detector",
        True,
        "Haar cascade, which misses more faces; YuNet is fetched once when there is a network, "
        "or set AVSYNC_YUNET to the file yunet_n_320_320.onnx",
    )


def _models() -> list[Finding]:
    return [Finding(f"model {row.name}", *_weights(row)) for row in registry.list_models()]


def _weights(row: ModelCard) -> tuple[bool | None, str]:
    if row.train is not None:
        return None, f"no weights are published: `avsync train {row.train}`"
    if row.file is None:
        return None, f"bring its weights with `avsync convert {row.name}`"
    path = registry.PRETRAINED / row.file
    if not path.is_file():
        return False, "no weights in this installation"
    if sha256_of(path) != row.sha256:
        return False, f"{path} is damaged: reinstall avsync"
    return True, f"shipped weights whole ({path.stat().st_size / 2**20:.1f} MiB), {row.licence}"


def _surroundings() -> list[Finding]:
    return [
        Finding("ffmpeg", None, "not needed: PyAV brings its own libraries"),
        Finding("cache", None, f"{cache_folder()} (AVSYNC_CACHE chooses another)"),
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
