"""Check the installation: packages, device, face detector, models, encoders and folders."""

import platform
import sys
from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple

import avsync.tasks.registry as registry
from avsync.extras import EXTRAS
from avsync.faces.detector import YUNET_VARIABLE, find_detector, locate_yunet_model
from avsync.tasks.card import ModelCard
from avsync.weights import PRETRAINED, REINSTALL, cache_folder, sha256_of, sha256_of_config

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


class DoctorFinding(NamedTuple):
    """One part of the installation. `ok` is None if it is not needed to check and fix files."""

    topic: str
    ok: bool | None
    text: str


def doctor() -> tuple[DoctorFinding, ...]:
    """Check the installation; nothing is installed or downloaded."""
    return (*_packages(), _device(), _detector(), *_models(), *_encoders(), *_surroundings())


def _packages() -> list[DoctorFinding]:
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    findings = [
        DoctorFinding("avsync", True, metadata.version("avsync")),
        DoctorFinding("python", (3, 11) <= sys.version_info < (3, 14), python),
    ]
    for name in CORE:
        version = _version(name)
        findings.append(
            DoctorFinding(name, version is not None, version or "missing: pip install avsync")
        )
    for extra, packages in EXTRAS.items():
        names = packages.values()
        missing = [name for name in names if _version(name) is None]
        present = ", ".join(f"{name} {_version(name)}" for name in names if name not in missing)
        absent = f"without {', '.join(missing)}: pip install 'avsync[{extra}]'"
        text = "; ".join(part for part in (present, absent if missing else "") if part)
        findings.append(DoctorFinding(f"extra {extra}", None if missing else True, text))
    return findings


def _device() -> DoctorFinding:
    import torch

    threads = f"CPU with {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return DoctorFinding("device", True, f"{threads}; no GPU (none is needed)")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return DoctorFinding("device", True, f"{', '.join(names)}; {threads}")


def _detector() -> DoctorFinding:
    try:
        path = locate_yunet_model()
        find_detector("yunet")
    except RuntimeError as error:
        return DoctorFinding("face detector", False, str(error))
    where = "shipped file intact" if path.parent == PRETRAINED else f"{YUNET_VARIABLE} names {path}"
    return DoctorFinding("face detector", True, f"YuNet, {where}")


def _models() -> list[DoctorFinding]:
    return [DoctorFinding(f"model {card.name}", *_weights(card)) for card in registry.list_models()]


def _weights(card: ModelCard) -> tuple[bool | None, str]:
    if card.train is not None:
        return None, f"no weights are published: `avsync train {card.train}`"
    if card.file is None:
        return None, f"bring its weights with `avsync convert {card.name}`"
    path = PRETRAINED / card.file
    if not path.is_file():
        return False, "no weights in this installation"
    if sha256_of(path) != card.sha256:
        return False, f"{path} is damaged: {REINSTALL}"
    beside = path.with_suffix(".json")
    try:
        if sha256_of_config(beside) != card.config_sha256:
            return False, f"{beside} was changed, so verdicts may differ: {REINSTALL}"
    except RuntimeError as error:
        return False, f"{error}: {REINSTALL}"
    size = f"{path.stat().st_size / 2**20:.1f} MiB"
    return True, f"shipped weights and config intact ({size}), {card.licence}"


def _encoders() -> list[DoctorFinding]:
    from avsync.encoders.pretrained.face_mesh import load_face_mesh
    from avsync.encoders.pretrained.whisper import load_whisper_encoder

    return [
        _encoder("face mesh", load_face_mesh, "MediaPipe's network", "Apache-2.0"),
        _encoder("speech encoder", load_whisper_encoder, "Whisper tiny.en", "MIT"),
    ]


def _encoder(topic: str, load: Callable[[], object], network: str, licence: str) -> DoctorFinding:
    try:
        load()
    except RuntimeError as error:
        return DoctorFinding(topic, False, str(error))
    return DoctorFinding(topic, True, f"{network}, shipped file intact, {licence}")


def _surroundings() -> list[DoctorFinding]:
    return [
        DoctorFinding("ffmpeg", None, "not needed: PyAV contains its libraries"),
        DoctorFinding("cache", None, f"{cache_folder()} (set AVSYNC_CACHE to choose another)"),
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
