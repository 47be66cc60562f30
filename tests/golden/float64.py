"""Replace the float32 steps that a published method has at any dtype by float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch

# Float64 alone: a sum of up to 14,000 products, each with a rounding of 2^-53, is off by 1.5e-12 at
# worst, and by 1e-14 where roundings to either side cancel. Measured: 2e-15.
FLOAT64_ONLY = 1e-12


@contextmanager
def float64_throughout() -> Iterator[None]:
    """Compute in float64 what a float64 model computes in float32: `.float()` is `.double()`.

    Results then depend on the machine by float64 rounding alone. They are compared with
    `golden_float64.json`, for which the reference's source was changed in the same way.
    """
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        yield
