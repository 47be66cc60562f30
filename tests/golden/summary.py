"""Compare a tensor with the statistics that a golden file stores of it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def assert_summary(x: Tensor, expected: Mapping[str, Any], atol: float) -> None:
    """Compare shape, moments, extremes, first and last numbers, and an order-dependent sum.

    Args:
        x: the tensor.
        expected: its statistics.
        atol: tolerance of a number of `x`; that of sums grows with the square root of their count.
    """
    assert list(x.shape) == expected["shape"]
    flat = x.detach().double().flatten()
    first, last = flat[: len(expected["first"])], flat[-len(expected["last"]) :]
    close(first, expected["first"], atol)
    close(last, expected["last"], atol)
    moments = [flat.mean(), flat.std(unbiased=False), flat.min(), flat.max()]
    close(torch.stack(moments), [expected[k] for k in ("mean", "std_pop", "min", "max")], atol)
    waves = torch.arange(1, len(flat) + 1, dtype=torch.float64).cos()
    close((flat * waves).sum(), expected["wsum"], atol * len(flat) ** 0.5)


def close(x: Tensor, expected: Any, atol: float) -> None:
    """Compare `x` with numbers or lists of them, to `atol` and no relative tolerance."""
    wanted = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(x.detach().double(), wanted, atol=atol, rtol=0)
