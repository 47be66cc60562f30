"""The batches of a run, each drawn from `(seed, step, part)` alone.

So a run that was stopped goes on as if it had not been, processes that make batches ahead change
nothing, and two processes see what one sees that accumulates two batches per step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

# Makes the batch of a step: the arguments of the module that is trained, its random numbers given.
# Frames may be uint8: they reach the module as floats, see `as_floats`.
MakeBatch = Callable[[np.random.Generator, torch.Generator], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Curriculum:
    """Batches that change as training goes on: `at(progress)` makes those of a moment.

    Args:
        at: maps progress in [0, 1) to what makes a batch then.
    """

    at: Callable[[float], MakeBatch]


class Part(NamedTuple):
    """One of the batches of a step: its tensors, and the seed of what the model draws on them."""

    seed: int
    tensors: tuple[Tensor, ...]


class Parts(Dataset[Part]):
    """All batches that one process sees, in order: `accumulate` for each step.

    Args:
        make_batch: draws a batch, or says how at each moment.
        seed: of the run.
        steps: optimiser steps of the whole run.
        accumulate: batches per step on this process.
        rank: number of this process.
        processes: how many there are.
    """

    def __init__(
        self,
        make_batch: MakeBatch | Curriculum,
        seed: int,
        steps: int,
        accumulate: int = 1,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.make_batch = make_batch
        self.seed, self.steps, self.accumulate = seed, steps, accumulate
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return self.steps * self.accumulate

    def __getitem__(self, index: int) -> Part:
        step, turn = divmod(index, self.accumulate)
        # Part 0 is what a lone process draws: numpy pads a short seed with zeros.
        rng = np.random.default_rng((self.seed, step, turn * self.processes + self.rank))
        seed = int(rng.integers(2**62))
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        make = self.make_batch
        if isinstance(make, Curriculum):
            make = make.at(step / self.steps)
        return Part(seed, make(rng, draws))

    def since(self, step: int, workers: int = 0) -> Iterator[Part]:
        """Yield the batches from `step` on; `workers` processes make them ahead."""
        order = range(step * self.accumulate, len(self))
        if not workers or not order:
            return (self[index] for index in order)
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
        )
        return iter(loader)


def as_floats(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the tensors of a batch with frames in uint8 as floats in [0, 1]: after the way to the
    device, which is four times as short for bytes.
    """
    return tuple(_in_unit(each) if each.dtype == torch.uint8 else each for each in tensors)


def _in_unit(frames: Tensor) -> Tensor:
    # In order: with the colours last, as crops are stored, torch 2.11's convolutions over few
    # channels crash on CPUs.
    return frames.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _as_it_is(part: Any) -> Any:
    return part
