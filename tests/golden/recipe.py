"""Weights and inputs computed from a hash, equal on every machine: no seed, no stored tensors.

The reference models were given these weights and inputs; their outputs are in the JSON files beside
this one. Names and shapes are those of the reference state dicts.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent
MASK = np.uint64(0xFFFFFFFF)
SALT = "c/"


def numbers(name: str) -> dict[str, Any]:
    """Read `NAME.json`."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def upstream_keys(name: str) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a reference state dict, from `keys_NAME.json`."""
    return {key: tuple(shape) for key, shape in numbers(f"keys_{name}").items()}


def hash_u(name: str, count: int) -> np.ndarray:
    """Compute `count` float64 numbers in [0, 1) from the name alone, by integer arithmetic."""
    x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B1)
    x = (x + np.uint64(zlib.crc32(name.encode()))) & MASK
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & MASK
    x ^= x >> np.uint64(15)
    return x.astype(np.float64) / 2**32


def make_input(name: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """Return an input of a shape, float32, uniform in [low, high)."""
    uniform = hash_u(name, math.prod(shape)).reshape(shape)
    return torch.from_numpy((low + (high - low) * uniform).astype(np.float32))


def weights(
    shapes: Mapping[str, tuple[int, ...]], gain: Callable[[str], float]
) -> dict[str, Tensor]:
    """Return a reference state dict of the given names and shapes, rounded to float32."""
    state = {}
    for key, shape in shapes.items():
        dtype = np.int64 if key.endswith("num_batches_tracked") else np.float32
        state[key] = torch.from_numpy(np.asarray(_value(key, shape, gain(key)), dtype))
    return state


def _value(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    count = math.prod(shape)
    signed = (2 * hash_u(SALT + key, count) - 1).reshape(shape)
    leaf = key.rpartition(".")[2]
    fixed = {"num_batches_tracked": 0.0, "version": 2.0, "_float_tensor": 0.0}
    if leaf in fixed:
        return np.full(shape, fixed[leaf])
    if leaf == "running_mean":
        return 0.1 * signed
    if leaf == "running_var":
        return 1 + 0.5 * signed
    if len(shape) >= 2:
        return gain * math.sqrt(3 * shape[0] / count) * signed
    if leaf.endswith("bias"):
        return 0.1 * signed
    return 1 + 0.2 * signed
