"""The training loop: one for every task, on lightning-fabric.

Every step draws from `(seed, step)` alone, so a run that was stopped goes on as if it had not been.
"""

import atexit
import gc
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from avsync.training.engine.batches import Curriculum, MakeBatch, Part, Parts, as_floats
from avsync.training.engine.chance_monitor import ChanceMonitor
from avsync.training.engine.checkpoint import STATE_FILE, RunState
from avsync.training.engine.contact_sheet import write_contact_sheet
from avsync.training.engine.optimizer import learning_rate, make_optimizer, make_schedule
from avsync.training.engine.overfit_test import learn_one_batch, verdict
from avsync.training.engine.run_log import LOG_FILE, RunLog, Step
from avsync.training.engine.settings import LoopSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Watch(NamedTuple):
    """The figure of a validation that says which weights are best, and in which direction."""

    figure: str
    higher_is_better: bool = True

    @property
    def worst(self) -> float:
        return -math.inf if self.higher_is_better else math.inf

    def better(self, value: float, than: float) -> bool:
        return value > than if self.higher_is_better else value < than


class EarlyStop:
    """Stop a run when its validation has not improved for a while, and keep the best weights.

    Args:
        patience: measurements without an improvement after which to stop; 0 never stops, and keeps
            no copy.
        watch: the figure to improve, wherever it stands among the others.

    Raises:
        ValueError: patience without a figure to watch.
    """

    def __init__(self, patience: int, watch: Watch | None = None) -> None:
        if patience and watch is None:
            raise ValueError("patience needs a figure to watch: fit(..., watch=Watch(NAME))")
        self.patience, self.watch = patience, watch
        self.best = -math.inf if watch is None else watch.worst
        self.since = 0
        self.kept: dict[str, Tensor] = {}

    @property
    def stops(self) -> bool:
        return 0 < self.patience <= self.since

    def see(self, figures: Mapping[str, float], averaged: nn.Module) -> None:
        """Take in a measurement of the averaged weights.

        Raises:
            ValueError: the figure that is watched is not in it.
        """
        if not self.patience or self.watch is None:
            return
        if not figures:
            raise ValueError("patience needs something measured: give the recipe held-out clips")
        if self.watch.figure not in figures:
            raise ValueError(
                f"patience watches {self.watch.figure}, measured were {', '.join(figures)}"
            )
        value = figures[self.watch.figure]
        if self.watch.better(value, than=self.best):
            self.best, self.since = value, 0
            self.kept = {name: each.clone() for name, each in averaged.state_dict().items()}
        else:
            self.since += 1

    def put_back(self, averaged: nn.Module) -> None:
        """Give the module the best weights seen, if any were kept."""
        if self.kept:
            averaged.load_state_dict(self.kept)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "since": self.since, "kept": self.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.since = state_dict["best"], state_dict["since"]
        self.kept = state_dict["kept"]


# What recipes need is here, wherever it is defined.
__all__ = [
    "LOG_FILE",
    "STATE_FILE",
    "Curriculum",
    "LoopSettings",
    "MakeBatch",
    "Validate",
    "Watch",
    "fit",
    "learning_rate",
]

# Measures an averaged copy of the task: figures by name, in any order.
Validate = Callable[[nn.Module], Mapping[str, float]]


def fit(
    task: nn.Module,
    make_batch: MakeBatch | Curriculum,
    settings: LoopSettings,
    chance: float,
    validate: Validate,
    watch: Watch | None = None,
) -> nn.Module:
    """Train `task`, whose forward maps a batch to a scalar loss, and returns its averaged copy.

    Args:
        task: the module to train; parameters that are frozen stay as they are.
        make_batch: draws a batch, or says how at each moment.
        settings: see there.
        chance: the loss of a model that knows nothing, written beside every loss.
        validate: measures an averaged copy of the task.
        watch: the figure of `validate` that `patience` goes by; needed with `patience` only.
    """
    run = _Run(task, settings, chance, watch)
    first = run.state.resume()
    fabric = run.fabric
    parts = Parts(
        make_batch,
        settings.seed,
        settings.steps,
        settings.accumulate,
        fabric.global_rank,
        fabric.world_size,
    )
    with run.log.start(first):
        if not first and fabric.is_global_zero:
            write_contact_sheet(settings.output, parts[0].tensors)
        if settings.overfit_one_batch and not first:
            run.test_itself(parts[0])
        drawn = parts.since(first, settings.workers)
        for done in range(first + 1, settings.steps + 1):
            if run.early.stops:
                break
            run.step(done, drawn)
            last = done == settings.steps
            if last or _due(done, settings.validate_every):
                run.measure(validate)
            if last or run.early.stops or _due(done, settings.save_every):
                run.save(done)
    return run.kept()


class _Run:
    """All that a run holds: the model and its average, the optimiser, the log, the watchers."""

    def __init__(
        self, task: nn.Module, settings: LoopSettings, chance: float, watch: Watch | None
    ) -> None:
        # Slow to import, and not needed to print the options.
        from timm.utils.model_ema import ModelEmaV3

        self.task, self.settings, self.chance = task, settings, chance
        self.fabric = start_fabric(settings)
        self.optimizer = make_optimizer(task, settings)
        self.set_rate = make_schedule(self.optimizer, settings)
        self.average = ModelEmaV3(task, decay=settings.ema).to(self.fabric.device)
        self.wrapped, self.stepper = self.fabric.setup(task, self.optimizer)
        self.early = EarlyStop(settings.patience, watch)
        self.alarm = ChanceMonitor(chance, settings.alarm_after, settings.clip)
        self.log = RunLog(
            settings.output,
            settings.steps,
            chance,
            writes=self.fabric.is_global_zero,
            tensorboard=settings.tensorboard,
        )
        self.state = RunState(
            settings.output / STATE_FILE,
            {
                "task": task,
                "average": self.average,
                "optimizer": self.optimizer,
                "early": self.early,
                "alarm": self.alarm,
                "log": self.log,
            },
        )

    def test_itself(self, part: Part) -> None:
        """Learn one batch by heart; RuntimeError with likely causes where it cannot."""
        tensors = as_floats(self.fabric.to_device(part.tensors))
        result = learn_one_batch(self.task, tensors, self.settings, self.chance)
        said = verdict(result, self.chance)
        if not result.passed:
            raise RuntimeError(said)
        self.log.say(said)

    def step(self, done: int, drawn: Iterator[Part]) -> None:
        """One step of the optimiser, over `accumulate` batches on every process."""
        self.set_rate(done - 1)
        self.stepper.zero_grad()
        total = 0.0
        for turn in range(self.settings.accumulate):
            part = next(drawn)
            torch.manual_seed(part.seed)
            more = turn + 1 < self.settings.accumulate
            with self.fabric.no_backward_sync(self.wrapped, enabled=more):
                loss = self.wrapped(*as_floats(self.fabric.to_device(part.tensors)))
                loss = loss / self.settings.accumulate
                self.fabric.backward(loss)
            total += self._mean_of_all(loss)
        if not math.isfinite(total):
            raise RuntimeError(
                f"the loss is {total} at step {done}: try a lower learning rate than"
                f" {self.settings.lr:g}, or --precision 32-true; the last state is whole"
            )
        norm = self.fabric.clip_gradients(self.wrapped, self.stepper, max_norm=self.settings.clip)
        assert norm is not None
        self.stepper.step()
        self.average.update(self.task, step=done)
        self.log.add(Step(done, total, self.optimizer.param_groups[0]["lr"]))
        if text := self.alarm.see(self.task, total, float(norm)):
            self.log.alarm(text)

    def _mean_of_all(self, loss: Tensor) -> float:
        mean = self.fabric.all_reduce(loss.detach(), reduce_op="mean")
        assert isinstance(mean, Tensor)
        return float(mean)

    def measure(self, validate: Validate) -> None:
        # Only the first process measures; what it found decides for all.
        found = validate(self.average.module) if self.fabric.is_global_zero else {}
        figures = self.fabric.broadcast(found)
        self.log.measured(figures)
        self.early.see(figures, self.average.module)

    def save(self, done: int) -> None:
        if self.fabric.is_global_zero:
            self.log.flush()
            self.state.save(done)

    def kept(self) -> nn.Module:
        """Return the averaged module: the best one measured where a run may stop early, else the last."""
        averaged: nn.Module = self.average.module
        self.early.put_back(averaged)
        share_first(self.fabric, averaged)
        return averaged


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


def start_fabric(settings: LoopSettings) -> "Fabric":
    """Fabric on one device, or on all processes of torchrun, on however many nodes."""
    from lightning_fabric import Fabric

    processes = here = 1
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        processes = int(os.environ["WORLD_SIZE"])
        here = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=settings.device,
        devices=here,
        num_nodes=processes // here,
        strategy="ddp" if processes > 1 else "auto",
        precision=settings.precision,
    )
    if processes > 1:
        fabric.launch()
        atexit.unregister(_part)
        atexit.register(_part)
    return fabric


def share_first(fabric: "Fabric", module: nn.Module) -> None:
    """Give every process the first one's weights and buffers.

    Buffers differ between processes: after this it does not matter which one writes a file last.
    """
    if fabric.world_size > 1:
        for value in module.state_dict().values():
            torch.distributed.broadcast(value, 0)
        # A process that ended while another still listens to it would take that one down.
        torch.distributed.barrier()


def _part() -> None:
    # In this order, while Python still stands: threads of gloo that still want the interpreter
    # bring the process down at its very end, and for ever wait for a group that DDP frees last.
    gc.collect()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
