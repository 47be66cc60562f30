"""Y-Nets with the weights and inputs of the reference models: sines of a key's checksum."""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from golden.recipe import upstream_keys
from torch import Tensor

from avsync.convert.ynet import UNUSED_TABLES, convert_unet, convert_ynet_g, convert_ynet_m
from avsync.encoders.st_gcn import face_adjacency
from avsync.tasks.separation.unet import UNetConfig, build_unet
from avsync.tasks.separation.ynet_variants import (
    YNetGConfig,
    YNetMConfig,
    build_ynet_g,
    build_ynet_m,
)

RATE, SAMPLES = 16384, 65535
MODELS = {
    "unet": (convert_unet, lambda: build_unet(UNetConfig())),
    "ynet_m": (convert_ynet_m, lambda: build_ynet_m(YNetMConfig())),
    "ynet_g": (convert_ynet_g, lambda: build_ynet_g(YNetGConfig())),
}


def upstream_state(name: str) -> dict[str, Tensor]:
    """Return a reference state dict as in its checkpoint."""
    return {key: _tensor(key, shape) for key, shape in upstream_keys(name).items()}


def golden_model(name: str) -> torch.nn.Module:
    """Return a model with the golden weights, in float32 and eval mode."""
    convert, build = MODELS[name]
    model = build()
    model.load_state_dict(convert(upstream_state(name)), strict=True)
    return model.eval()


def mixture() -> Tensor:
    """Return the golden mixture `(1, 65535)`."""
    n = np.arange(SAMPLES)
    tones = 0.3 * _tone(220, n) + 0.2 * _tone(523, n) + 0.05 * np.sin(1.7 * n)
    return torch.from_numpy(tones.astype(np.float32))[None]


def second() -> Tensor:
    """Return the second signal of the golden losses, `(1, 65535)`."""
    n = np.arange(SAMPLES)
    return torch.from_numpy((0.25 * _tone(330, n) + 0.1 * np.sin(0.9 * n)).astype(np.float32))[None]


def landmarks() -> Tensor:
    """Return the golden landmarks `(1, 2, 100, 68)`."""
    return _flat(lambda n: 48 + 30 * np.sin(0.37 * n), (1, 2, 100, 68))


def normal_video() -> Tensor:
    """Return the golden video `(1, 3, 100, 96, 96)`, normalised as for the reference."""
    return _flat(lambda n: np.sin(0.013 * n), (1, 3, 100, 96, 96))


def assert_stats(x: Tensor, expected: Mapping[str, Any]) -> None:
    """Compare moments and 16 samples of a tensor, to 5e-6 of its largest number."""
    flat = x.detach().double().flatten()
    indices = np.linspace(0, len(flat) - 1, 16).astype(np.int64)
    samples = torch.tensor(expected["val"], dtype=torch.float64)
    atol = 5e-6 * expected["absmax"]
    torch.testing.assert_close(flat[indices], samples, atol=atol, rtol=0)
    moments = torch.stack([flat.mean(), flat.std(), flat.abs().max()])
    wanted = torch.tensor([expected[k] for k in ("mean", "std", "absmax")], dtype=torch.float64)
    torch.testing.assert_close(moments, wanted, atol=atol, rtol=0)


def _tone(hz: float, n: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * hz * n / RATE)


def _flat(wave: Any, shape: tuple[int, ...]) -> Tensor:
    numbers = wave(np.arange(math.prod(shape)))
    return torch.from_numpy(numbers.astype(np.float32)).reshape(shape)


def _tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key == "graph_net.A":
        return face_adjacency()
    if key in UNUSED_TABLES:
        return torch.zeros(shape)
    count, phase = math.prod(shape), zlib.crc32(key.encode()) % 1000
    x = np.sin(0.1 * np.arange(count) * 1.6180339887 + phase).reshape(shape)
    return torch.from_numpy(np.asarray(_scaled(key, x), np.float32))


def _scaled(key: str, x: np.ndarray) -> np.ndarray:
    leaf = key.rpartition(".")[2]
    if leaf == "running_var":
        return 1 + 0.5 * x
    if leaf == "edge_importance" or (leaf == "weight" and x.ndim == 1):
        return 1 + 0.1 * x
    if leaf == "weight":
        return x * math.sqrt(2 * len(x) / x.size)
    return 0.1 * x
