"""Batches of a run, each of which follows from the seed and its number alone.

A stopped run can therefore resume exactly, worker processes that prefetch batches change nothing
but the speed, and two processes see the batches that one sees that accumulates two per step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

# Makes a batch, the arguments of the trained module's forward, from random generators and nothing
# else. Frames may be uint8: the module gets them as floats, see `as_floats`.
MakeBatch = Callable[[np.random.Generator, torch.Generator], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Curriculum:
    """Batches that change during training.

    Args:
        at: maps the progress of training in [0, 1) to the function that makes batches then.
    """

    at: Callable[[float], MakeBatch]


class SeededBatch(NamedTuple):
    """The tensors of a batch, and the seed of what the model draws on it, such as dropout."""

    seed: int
    tensors: tuple[Tensor, ...]


class BatchDataset(Dataset[SeededBatch]):
    """All batches that one process sees in a run, in order: `accumulate` for each step.

    Args:
        make_batch: makes a batch, the same way throughout or by a curriculum.
        seed: seed of the run.
        steps: optimiser steps of the whole run.
        accumulate: batches per step on this process.
        rank: index of this process.
        processes: number of processes.
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

    def __getitem__(self, index: int) -> SeededBatch:
        step, turn = divmod(index, self.accumulate)
        # Number 0 is what a single process draws: numpy pads a short seed with zeros.
        rng = np.random.default_rng((self.seed, step, turn * self.processes + self.rank))
        seed = int(rng.integers(2**62))
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        make = self.make_batch
        if isinstance(make, Curriculum):
            make = make.at(step / self.steps)
        return SeededBatch(seed, make(rng, draws))

    def from_step(self, step: int, workers: int = 0) -> Iterator[SeededBatch]:
        """Yield the batches from a step on, which `workers` processes prefetch."""
        order = range(step * self.accumulate, len(self))
        if not workers or not order:
            return (self[index] for index in order)
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            collate_fn=_unchanged,
            pin_memory=torch.cuda.is_available(),
        )
        return iter(loader)


def as_floats(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Convert uint8 frames of a batch to floats in [0, 1].

    This is done on the device: bytes take a quarter of the time to get there.
    """
    return tuple(_to_unit(t) if t.dtype == torch.uint8 else t for t in tensors)


def _to_unit(frames: Tensor) -> Tensor:
    # Contiguous: with the colours last, as crops are stored, torch 2.11's convolutions over few
    # channels crash on CPUs.
    return frames.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _unchanged(batch: Any) -> Any:
    return batch
