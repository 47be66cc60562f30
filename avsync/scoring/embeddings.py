"""The contract of a sync task, and operations on the embeddings of windows that it returns.

Embeddings are a tensor, or a NamedTuple of tensors that share their first axes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from avsync.tasks.input_spec import ClipSpec

Embeddings = Any
# The attributes of a `SyncModel`.
SYNC_CONTRACT = ("spec", "encode_video", "encode_audio", "compare")


class SyncModel(Protocol):
    """Contract of a sync task; docs/house.md gives the shapes."""

    spec: ClipSpec

    def encode_video(self, frames: Tensor) -> Embeddings: ...
    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Embeddings: ...
    def compare(self, video: Embeddings, audio: Embeddings) -> Tensor: ...


@runtime_checkable
class AnalysingModel(Protocol):
    """A `SyncModel` that first analyses each frame by itself, which need not be repeated.

    `analyse_frames` maps frames `(B, 3, T, H, W)` to a NamedTuple of tensors `(B, T, ...)`, which
    `encode_video` takes as its second argument. Both take uint8 too. Frames that are not `chosen`,
    of T bools, are passed over, and `encode_video` interpolates between the two others before and
    after them: it is enough to analyse every `analysis_stride`-th frame, the first and the last.
    """

    analysis_stride: int

    def analyse_frames(self, frames: Tensor, chosen: Tensor | None = None) -> Any: ...
    def encode_video(self, frames: Tensor, analysis: Any) -> Embeddings: ...


def tree_map(function: Callable[..., Tensor], *embeddings: Embeddings) -> Embeddings:
    """Apply a function to the tensors of one or more embeddings and keep their structure."""
    if isinstance(embeddings[0], Tensor):
        return function(*embeddings)
    return type(embeddings[0])(*(function(*parts) for parts in zip(*embeddings, strict=True)))


def concatenate_embeddings(*embeddings: Embeddings) -> Embeddings:
    """Concatenate embeddings along their first axis."""
    return tree_map(lambda *parts: torch.cat(parts), *embeddings)


def count_embeddings(embeddings: Embeddings) -> int:
    """Return the length of the first axis."""
    return len(embeddings if isinstance(embeddings, Tensor) else embeddings[0])


def size_in_bytes(embeddings: Embeddings) -> int:
    """Return the memory that the tensors take if none of them shares its storage."""
    tensors = (embeddings,) if isinstance(embeddings, Tensor) else embeddings
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class DeviceAndDtype(NamedTuple):
    """Device and precision of a model's weights."""

    device: torch.device
    dtype: torch.dtype


def device_and_dtype(model: object) -> DeviceAndDtype:
    """Return device and dtype of a model's first weight; CPU and float32 without weights."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    if weight is None:
        return DeviceAndDtype(torch.device("cpu"), torch.float32)
    return DeviceAndDtype(weight.device, weight.dtype)
