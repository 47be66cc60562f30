"""Entries of windows as sync tasks hold them: a tensor, or a NamedTuple of tensors whose first axes
are the same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Entries = Any


def each(function: Callable[..., Tensor], *embeddings: Entries) -> Entries:
    """Return the function of the tensors of one or more entries, held as they were."""
    if isinstance(embeddings[0], Tensor):
        return function(*embeddings)
    return type(embeddings[0])(*(function(*parts) for parts in zip(*embeddings, strict=True)))


def joined(*embeddings: Entries) -> Entries:
    """Entries one after the other on their first axis."""
    return each(lambda *parts: torch.cat(parts), *embeddings)


def count(embeddings: Entries) -> int:
    """Return how many entries there are on the first axis."""
    return len(embeddings if isinstance(embeddings, Tensor) else embeddings[0])


def bytes_of(embeddings: Entries) -> int:
    """Return the memory they take, were each tensor on its own."""
    tensors = (embeddings,) if isinstance(embeddings, Tensor) else embeddings
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class Place(NamedTuple):
    """Where a model's weights are, and in which precision."""

    device: torch.device
    dtype: torch.dtype


def place_of(model: object) -> Place:
    """Return the place of a model's first weight: frames are sent there. The CPU for a model without."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    if weight is None:
        return Place(torch.device("cpu"), torch.float32)
    return Place(weight.device, weight.dtype)
