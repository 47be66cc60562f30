"""Progress bar on stderr, shown only on a terminal and for work of over two seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from avsync.escaping import printable

if TYPE_CHECKING:
    from rich.progress import Progress

DELAY_S = 2.0

# Called with the share of the work that is done, from 0 to 1.
ProgressCallback = Callable[[float], None]


class ProgressBar:
    """Callable with the share that is done, from 0 to 1; if `on`, it is shown after two seconds."""

    def __init__(self, label: str, on: bool) -> None:
        self.label, self.on = printable(label), on
        self.started_s = time.monotonic()
        self.shown: Progress | None = None

    def __call__(self, share: float) -> None:
        if not self.on or time.monotonic() - self.started_s < DELAY_S:
            return
        if self.shown is None:
            self.shown = self._show()
        self.shown.update(self.shown.task_ids[0], completed=share)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the bar while something else is written to the terminal."""
        if self.shown is not None:
            self.shown.stop()
        try:
            yield
        finally:
            if self.shown is not None:
                self.shown.start()

    def close(self) -> None:
        """Remove the bar."""
        if self.shown is not None:
            self.shown.stop()
        self.on, self.shown = False, None

    def _show(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        # stdout must not be redirected, although the bar is on stderr.
        shown = Progress(
            # Without markup, because names hold square brackets and `:smile:`.
            TextColumn("{task.description}", style="progress.description", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            Remaining(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        shown.add_task(self.label, total=1.0)
        shown.start()
        return shown


@contextmanager
def progress_bar(label: str) -> Iterator[ProgressBar]:
    """Yield a bar to be called with the share that is done; without a terminal nothing is shown."""
    bar = ProgressBar(label, sys.stderr.isatty())
    try:
        yield bar
    finally:
        bar.close()
