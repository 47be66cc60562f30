"""The log of a run: a CSV file always, lines or a bar on the terminal, TensorBoard as an extra."""

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
# Steps between lines; the loss of a line is the mean since the one before.
EVERY = 25


class Step(NamedTuple):
    """What the log wants to know of a step that is done."""

    number: int
    loss: float
    rate: float


class RunLog:
    """Writes `log.csv` and says on standard error how the loss stands beside chance.

    A run that resumes goes on in the same file; lines past the step it resumes from are dropped,
    because they come again.

    Args:
        folder: where the log goes.
        steps: of the whole run.
        chance: the loss of a model that knows nothing, in every line.
        writes: False on all processes but the first, which log nothing.
        tensorboard: writes curves there too.
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
        self.last = Step(0, float("nan"), float("nan"))
        self.file: TextIO | None = None
        self.curves: Any = None

    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self.losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.losses = list(state_dict["losses"])

    def start(self, first: int) -> "RunLog":
        """Open the log of a run that goes on from step `first`."""
        self.before_s, self.started_s = 0.0, time.monotonic()
        if not self.writes:
            return self
        rows = _rows_until(self.folder / LOG_FILE, first) if first else []
        if rows:
            self.before_s = float(rows[-1]["seconds"])
        with (
            replacing(self.folder / LOG_FILE) as beside,
            open(beside, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        self.file = open(self.folder / LOG_FILE, "a", newline="", encoding="utf-8")  # noqa: SIM115
        if self.tensorboard:
            self.curves = _tensorboard(self.folder, first)
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

    def add(self, step: Step) -> None:
        self.losses.append(step.loss)
        self.last = step
        if step.number % EVERY == 0 or step.number == self.steps:
            self._write()
        if self.writes:
            text = f"loss {step.loss:.3f} (chance {self.chance:.3f})"
            self.bar.update(self.bar_task, completed=step.number, description=text)

    def measured(self, figures: Mapping[str, float]) -> None:
        self._write(measured=" ".join(f"{name}={value:.4g}" for name, value in figures.items()))
        if self.curves is not None:
            for name, value in figures.items():
                self.curves.add_scalar(name, value, self.last.number)

    def alarm(self, text: str) -> None:
        """Say in full on standard error what is wrong, and marks the line in the CSV file."""
        self._write(alarm=text.splitlines()[0])
        self.say(text)

    def say(self, text: str) -> None:
        """Put a text on standard error, above the bar where there is one."""
        if self.writes:
            self.bar.console.print(text, markup=False, highlight=False)

    def flush(self) -> None:
        if self.file is not None:
            self.file.flush()

    def _write(self, measured: str = "", alarm: str = "") -> None:
        loss = f"{np.mean(self.losses):.4f}" if self.losses else ""
        self.losses.clear()
        if self.file is None:
            return
        number, _, rate = self.last
        seconds = self.before_s + time.monotonic() - self.started_s
        row = (number, f"{seconds:.0f}", loss, f"{self.chance:.4f}", f"{rate:.3g}", measured, alarm)
        csv.writer(self.file).writerow(row)
        if self.curves is not None and loss:
            for name, value in (("loss", float(loss)), ("chance", self.chance), ("rate", rate)):
                self.curves.add_scalar(name, value, number)
        if self.bar.disable and not alarm:
            stands = [f"loss {loss}"] if loss else []
            stands += [f"chance {self.chance:.4f}", f"rate {rate:.3g}", *measured.split()]
            self.say(f"step {number} of {self.steps}: {', '.join(stands)}")

    def _start_bar(self, first: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True, soft_wrap=True)
        self.bar = Progress(console=console, disable=not sys.stderr.isatty())
        self.bar_task = self.bar.add_task("training", total=self.steps, completed=first)
        self.bar.start()


def _rows_until(path: Path, step: int) -> list[dict[str, str]]:
    """Return the lines up to a step; a line that a killed run left half written is past it."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    whole = [row for row in rows if row["step"].isdecimal() and row["seconds"]]
    return [row for row in whole if int(row["step"]) <= step]


def _tensorboard(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RuntimeError(
            "curves for TensorBoard need it installed: pip install 'avsync[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder), purge_step=first + 1)
