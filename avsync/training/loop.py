"""The training loop: one for every task, on lightning-fabric.

Every step draws from `(seed, step)` alone, so a run that was stopped goes on as if it had not been.
"""

import csv
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from avsync.atomic import replacing

STATE_FILE = "state.pt"
LOG_FILE = "log.csv"

# Makes the batch of a step: the arguments of the module that is trained, its random numbers given.
MakeBatch = Callable[[np.random.Generator, torch.Generator], tuple[Tensor, ...]]


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train, and where to.

    Args:
        output: folder for the log, the state and the weights; a run that finds its state resumes.
        steps: optimiser steps.
        lr: peak learning rate of AdamW.
        warmup: steps of rising rate.
        decay: last share of the steps, over which the rate falls to zero.
        weight_decay: of AdamW.
        ema: decay of the averaged weights, which are the ones that are kept.
        validate_every: steps between measurements, 0 for only one at the end.
        save_every: steps between states that a stopped run resumes from.
        seed: of weights, draws and augmentation.
        device: `auto`, `cpu` or `cuda`.
        precision: `32-true` or `bf16-mixed`.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    steps: int = 3000
    lr: float = 1.5e-3
    warmup: int = 100
    decay: float = 0.3
    weight_decay: float = 0.05
    ema: float = 0.998
    validate_every: int = 500
    save_every: int = 100
    seed: int = 0
    device: str = "auto"
    precision: str = "32-true"


def fit(
    task: nn.Module,
    make_batch: MakeBatch,
    settings: LoopSettings,
    chance: float,
    validate: Callable[[nn.Module], Mapping[str, float]],
) -> nn.Module:
    """Trains `task`, whose forward maps a batch to a scalar loss, and returns its averaged copy.

    Args:
        task: the module to train.
        make_batch: draws a batch.
        settings: see there.
        chance: the loss of a model that knows nothing, written beside every loss.
        validate: measures an averaged copy of the task.
    """
    from lightning_fabric import Fabric

    fabric = Fabric(
        accelerator=settings.device,
        devices=1,
        precision=settings.precision,  # type: ignore[arg-type]  # its literals are not ours
    )
    average = AveragedModel(
        task, multi_avg_fn=get_ema_multi_avg_fn(settings.ema), use_buffers=True
    ).to(fabric.device)
    optimizer = torch.optim.AdamW(
        task.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    wrapped, optimizer = fabric.setup(task, optimizer)
    state = _State(settings.output / STATE_FILE, task, average, optimizer)
    first = state.resume()
    with _Log(settings.output / LOG_FILE, first, settings.steps, chance) as log:
        for step in range(first, settings.steps):
            rng = np.random.default_rng((settings.seed, step))
            torch.manual_seed(int(rng.integers(2**62)))
            draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
            batch = fabric.to_device(make_batch(rng, draws))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, step)
            loss = wrapped(*batch)
            optimizer.zero_grad()
            fabric.backward(loss)
            fabric.clip_gradients(wrapped, optimizer, max_norm=5.0)
            optimizer.step()
            average.update_parameters(task)
            done = step + 1
            log.add(done, float(loss.detach()))
            if done == settings.steps or _due(done, settings.validate_every):
                log.measured(done, validate(average.module))
            if done == settings.steps or _due(done, settings.save_every):
                log.flush()
                state.save(done)
    averaged: nn.Module = average.module
    return averaged


def learning_rate(settings: LoopSettings, step: int) -> float:
    """Up over the warm-up, level, then down to zero over the last `decay` of the steps."""
    up = (step + 1) / max(1, settings.warmup)
    down = (settings.steps - step) / max(1.0, settings.decay * settings.steps)
    return settings.lr * min(1.0, up, down)


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


class _State:
    """What a stopped run needs to go on, in one file that is whole or not there."""

    def __init__(
        self, path: Path, task: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        self.path = path
        self.parts: dict[str, Any] = {"task": task, "average": average, "optimizer": optimizer}

    def save(self, step: int) -> None:
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with replacing(self.path) as beside:
            torch.save({**state, "step": step}, beside)

    def resume(self) -> int:
        """Loads the state if there is one; the step to go on from."""
        if not self.path.is_file():
            return 0
        try:
            state = torch.load(self.path, weights_only=True, map_location="cpu")
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except (RuntimeError, KeyError, ValueError) as error:
            raise RuntimeError(
                f"{self.path} does not fit this run; choose another output, or remove it: {error}"
            ) from error
        return int(state["step"])


class _Log:
    """The CSV log and the progress bar; the loss in the log is the mean since the last line."""

    columns = ("step", "seconds", "loss", "chance", "measured")
    every = 25

    def __init__(self, path: Path, first: int, steps: int, chance: float) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.path, self.steps, self.chance = path, steps, chance
        self.losses: list[float] = []
        self.started_s = time.monotonic()
        self.bar = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty())
        self.task = self.bar.add_task("training", total=steps, completed=first)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = first == 0 or not path.is_file()
        self.file: TextIO = open(path, "w" if fresh else "a", newline="", encoding="utf-8")  # noqa: SIM115
        self.rows = csv.writer(self.file)
        if fresh:
            self.rows.writerow(self.columns)

    def __enter__(self) -> "_Log":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        self.file.close()

    def add(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        self.bar.update(self.task, completed=step, description=f"loss {loss:.2f}")
        if step % self.every == 0 or step == self.steps:
            self._write(step, "")

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        self._write(step, " ".join(f"{name}={value:.4g}" for name, value in figures.items()))

    def flush(self) -> None:
        self.file.flush()

    def _write(self, step: int, text: str) -> None:
        loss = f"{np.mean(self.losses):.4f}" if self.losses else ""
        seconds = f"{time.monotonic() - self.started_s:.0f}"
        self.rows.writerow((step, seconds, loss, f"{self.chance:.4f}", text))
        self.losses.clear()
