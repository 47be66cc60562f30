"""The log of a run: a CSV file, lines or a progress bar on the terminal, optionally TensorBoard."""

import csv
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from avsync.atomic import replacing

LOG_FILE = "log.csv"
COLUMNS = ("step", "seconds", "loss", "chance", "rate", "measured", "alarm")
# Steps between lines; the loss of a line is the mean since the previous one.
EVERY = 25


class LoggedStep(NamedTuple):
    """A finished optimiser step: its number, loss and learning rate."""

    number: int
    loss: float
    rate: float


class RunLog:
    """Write `log.csv`, and on standard error the loss next to its chance level.

    A run that resumes continues the same file; lines past the step from which it resumes are
    dropped, because they are written again.

    Args:
        folder: output folder.
        steps: steps of the whole run.
        chance: loss at chance level, written in every line.
        writes: False on all processes but the first, which log nothing.
        tensorboard: also write curves for TensorBoard.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        chance: float,
        writes: bool = True,
        tensorboard: bool = False,
    ) -> None:
        self.folder, self.steps, self.chance = folder, steps, chance
        self.writes, self.tensorboard = writes, tensorboard
        self.losses: list[float] = []
        self.last = LoggedStep(0, float("nan"), float("nan"))
        self.file: TextIO | None = None
        self.curves: Any = None

    def state_dict(self) -> dict[str, Any]:
        """Return the losses since the last line."""
        return {"losses": list(self.losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.losses = list(state_dict["losses"])

    def start(self, first: int) -> "RunLog":
        """Open the log of a run that starts after step `first`; use it as a context manager."""
        self.before_s, self.started_s = 0.0, time.monotonic()
        if not self.writes:
            return self
        rows = _rows_until(self.folder / LOG_FILE, first) if first else []
        if rows:
            self.before_s = float(rows[-1]["seconds"])
        with (
            replacing(self.folder / LOG_FILE) as partial,
            open(partial, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        self.file = open(self.folder / LOG_FILE, "a", newline="", encoding="utf-8")  # noqa: SIM115
        if self.tensorboard:
            self.curves = _tensorboard_writer(self.folder, first)
        self._start_bar(first)
        return self

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self.file, self.curves):
            if opened is not None:
                opened.close()
        if self.writes:
            self.bar.stop()

    def add_step(self, step: LoggedStep) -> None:
        """Record a step; a line is written every 25 steps and at the end."""
        self.losses.append(step.loss)
        self.last = step
        if step.number % EVERY == 0 or step.number == self.steps:
            self._write()
        if self.writes:
            text = f"loss {step.loss:.3f} (chance {self.chance:.3f})"
            self.bar.update(self.bar_task, completed=step.number, description=text)

    def add_figures(self, figures: Mapping[str, float]) -> None:
        """Write the figures of a validation, by name."""
        self._write(measured=" ".join(f"{name}={value:.4g}" for name, value in figures.items()))
        if self.curves is not None:
            for name, value in figures.items():
                self.curves.add_scalar(name, value, self.last.number)

    def warn(self, text: str) -> None:
        """Show a warning on standard error, and write its first line to the CSV file."""
        self._write(warning=text.splitlines()[0])
        self.show(text)

    def show(self, text: str) -> None:
        """Print text on standard error, above the progress bar if there is one."""
        if self.writes:
            self.bar.console.print(text, markup=False, highlight=False)

    def flush(self) -> None:
        """Flush the CSV file to disk."""
        if self.file is not None:
            self.file.flush()

    def _write(self, measured: str = "", warning: str = "") -> None:
        loss = f"{np.mean(self.losses):.4f}" if self.losses else ""
        self.losses.clear()
        if self.file is None:
            return
        number, _, rate = self.last
        seconds = f"{self.before_s + time.monotonic() - self.started_s:.0f}"
        row = (number, seconds, loss, f"{self.chance:.4f}", f"{rate:.3g}", measured, warning)
        csv.writer(self.file).writerow(row)
        if self.curves is not None and loss:
            for name, value in (("loss", float(loss)), ("chance", self.chance), ("rate", rate)):
                self.curves.add_scalar(name, value, number)
        if self.bar.disable and not warning:
            shown = [f"loss {loss}"] if loss else []
            shown += [f"chance {self.chance:.4f}", f"rate {rate:.3g}", *measured.split()]
            self.show(f"step {number} of {self.steps}: {', '.join(shown)}")

    def _start_bar(self, first: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True, soft_wrap=True)
        self.bar = Progress(console=console, disable=not sys.stderr.isatty())
        self.bar_task = self.bar.add_task("training", total=self.steps, completed=first)
        self.bar.start()


def _rows_until(path: Path, step: int) -> list[dict[str, str]]:
    """Return the lines up to a step, without one that a killed run left incomplete."""
    if not path.is_file():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        complete = [row for row in rows if (row["step"] or "").isdecimal() and row["seconds"]]
        return [row for row in complete if int(row["step"]) <= step and float(row["seconds"]) >= 0]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise RuntimeError(f"{path} must be the log of a run: {error!r}") from error


def _tensorboard_writer(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RuntimeError(
            "curves for TensorBoard need it installed: pip install 'avsync[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder), purge_step=first + 1)
