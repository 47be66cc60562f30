"""The training loop, one for every model, on lightning-fabric.

It has early stopping, an exponential moving average (EMA) of the weights, a chance-level monitor
and an overfit-one-batch test. Every step draws from the seed and its number alone, so a stopped run
resumes exactly.
"""

import atexit
import gc
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from avsync.extras import require_extra
from avsync.training.engine.batches import (
    BatchDataset,
    Curriculum,
    MakeBatch,
    SeededBatch,
    as_floats,
)
from avsync.training.engine.chance_monitor import ChanceMonitor
from avsync.training.engine.checkpoint import STATE_FILE, RunState
from avsync.training.engine.contact_sheet import write_contact_sheet
from avsync.training.engine.early_stop import EarlyStop, Watch
from avsync.training.engine.optimizer import make_optimizer, make_schedule
from avsync.training.engine.overfit_test import describe_overfit, overfit_one_batch
from avsync.training.engine.run_log import LoggedStep, RunLog
from avsync.training.engine.settings import LoopSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Measures an averaged copy of the trained module: figures by name, in any order.
Validate = Callable[[nn.Module], Mapping[str, float]]


def fit(
    task: nn.Module,
    make_batch: MakeBatch | Curriculum,
    settings: LoopSettings,
    chance: float,
    validate: Validate,
    watch: Watch | None = None,
) -> nn.Module:
    """Train a module, resuming from the state in the output folder if there is one.

    Args:
        task: the module, whose forward maps a batch to a scalar loss; frozen parameters stay as
            they are.
        make_batch: makes a batch, the same way throughout or by a curriculum.
        settings: settings of the loop.
        chance: loss at chance level, which is logged next to every loss.
        validate: measures an averaged copy of `task`.
        watch: the figure of `validate` for early stopping; needed with `patience` only.

    Returns:
        The EMA average of `task`: the best measured one with `patience`, else the last.

    Raises:
        RuntimeError: the overfit-one-batch test fails, the loss is not finite, or the state in the
            output folder belongs to another run.
    """
    run = _TrainingRun(task, settings, chance, watch)
    first = run.state.resume()
    fabric = run.fabric
    batches = BatchDataset(
        make_batch,
        settings.seed,
        settings.steps,
        settings.accumulate,
        fabric.global_rank,
        fabric.world_size,
    )
    with run.log.start(first):
        if not first and fabric.is_global_zero:
            write_contact_sheet(settings.output, batches[0].tensors)
        if settings.overfit_one_batch and not first:
            run.overfit(batches[0])
        drawn = batches.from_step(first, settings.workers)
        for done in range(first + 1, settings.steps + 1):
            if run.early_stop.should_stop:
                break
            run.step(done, drawn)
            last = done == settings.steps
            if last or _due(done, settings.validate_every):
                run.measure(validate)
            if last or run.early_stop.should_stop or _due(done, settings.save_every):
                run.save(done)
    return run.result()


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


class _TrainingRun:
    """The state of a run: the module and its average, the optimiser, the log, the monitors."""

    def __init__(
        self, task: nn.Module, settings: LoopSettings, chance: float, watch: Watch | None
    ) -> None:
        require_extra("train", "training", ("lightning_fabric", "timm"))
        # Slow to import, and not needed to print the options.
        from timm.utils.model_ema import ModelEmaV3

        self.task, self.settings, self.chance = task, settings, chance
        self.fabric = start_fabric(settings)
        self.optimizer = make_optimizer(task, settings)
        self.set_rate = make_schedule(self.optimizer, settings)
        self.average = ModelEmaV3(task, decay=settings.ema).to(self.fabric.device)
        self.wrapped, self.stepper = self.fabric.setup(task, self.optimizer)
        self.early_stop = EarlyStop(settings.patience, watch)
        self.monitor = ChanceMonitor(chance, settings.alarm_after, settings.clip)
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
                "early": self.early_stop,
                "alarm": self.monitor,
                "log": self.log,
            },
        )

    def overfit(self, batch: SeededBatch) -> None:
        """Run the overfit-one-batch test; RuntimeError with likely causes if it fails."""
        tensors = as_floats(self.fabric.to_device(batch.tensors))
        result = overfit_one_batch(self.task, tensors, self.settings, self.chance)
        text = describe_overfit(result, self.chance)
        if not result.passed:
            raise RuntimeError(text)
        self.log.show(text)

    def step(self, done: int, drawn: Iterator[SeededBatch]) -> None:
        """Take one optimiser step, over `accumulate` batches on every process."""
        self.set_rate(done - 1)
        self.stepper.zero_grad()
        total = 0.0
        for turn in range(self.settings.accumulate):
            batch = next(drawn)
            torch.manual_seed(batch.seed)
            more = turn + 1 < self.settings.accumulate
            with self.fabric.no_backward_sync(self.wrapped, enabled=more):
                loss = self.wrapped(*as_floats(self.fabric.to_device(batch.tensors)))
                loss = loss / self.settings.accumulate
                self.fabric.backward(loss)
            total += self._mean_over_processes(loss)
        if not math.isfinite(total):
            raise RuntimeError(
                f"the loss is {total} at step {done}: try a lower learning rate than"
                f" {self.settings.lr:g}, or --precision 32-true; the last state is complete"
            )
        norm = self.fabric.clip_gradients(self.wrapped, self.stepper, max_norm=self.settings.clip)
        assert norm is not None
        self.stepper.step()
        self.average.update(self.task, step=done)
        self.log.add_step(LoggedStep(done, total, self.optimizer.param_groups[0]["lr"]))
        if warning := self.monitor.update(self.task, total, float(norm)):
            self.log.warn(warning)

    def _mean_over_processes(self, loss: Tensor) -> float:
        mean = self.fabric.all_reduce(loss.detach(), reduce_op="mean")
        assert isinstance(mean, Tensor)
        return float(mean)

    def measure(self, validate: Validate) -> None:
        """Measure the averaged module on the first process, whose figures count for all."""
        found = validate(self.average.module) if self.fabric.is_global_zero else {}
        figures = self.fabric.broadcast(found)
        self.log.add_figures(figures)
        self.early_stop.update(figures, self.average.module)

    def save(self, done: int) -> None:
        """Write log and state, on the first process."""
        if self.fabric.is_global_zero:
            self.log.flush()
            self.state.save(done)

    def result(self) -> nn.Module:
        """Return the averaged module, with the best measured weights if some were kept."""
        averaged: nn.Module = self.average.module
        self.early_stop.restore_best(averaged)
        broadcast_weights(self.fabric, averaged)
        return averaged


def start_fabric(settings: LoopSettings) -> "Fabric":
    """Start Fabric on one device, or on all processes of torchrun, on any number of nodes."""
    from lightning_fabric import Fabric

    processes = local_processes = 1
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        processes = int(os.environ["WORLD_SIZE"])
        local_processes = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=settings.device,
        devices=local_processes,
        num_nodes=processes // local_processes,
        strategy="ddp" if processes > 1 else "auto",
        precision=settings.precision,
    )
    if processes > 1:
        fabric.launch()
        atexit.unregister(_leave_process_group)
        atexit.register(_leave_process_group)
    return fabric


def broadcast_weights(fabric: "Fabric", module: nn.Module) -> None:
    """Give every process the weights and buffers of the first one.

    Buffers differ between processes; after this, any of them may write the file last.
    """
    if fabric.world_size > 1:
        for value in module.state_dict().values():
            torch.distributed.broadcast(value, 0)
        # A process that ends while another one still waits for it would take that one down.
        torch.distributed.barrier()


def _leave_process_group() -> None:
    # In this order and before the interpreter shuts down: a gloo thread that still needs the
    # interpreter crashes the process at exit, and a group that DDP frees last waits forever.
    gc.collect()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
