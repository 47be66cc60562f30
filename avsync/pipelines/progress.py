"""A progress bar that keeps out of the way: on a terminal's stderr, for work over two seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_S = 2.0

# Told how much is done, from 0 to 1.
Report = Callable[[float], None]


class ProgressBar:
    """Told the share done, from 0 to 1; shows itself after two seconds where `on` is true."""

    def __init__(self, label: str, on: bool) -> None:
        self.label, self.on = label, on
        self.started_s = time.monotonic()
        self.shown: Progress | None = None

    def __call__(self, share: float) -> None:
        if not self.on or time.monotonic() - self.started_s < PATIENCE_S:
            return
        if self.shown is None:
            self.shown = self._show()
        self.shown.update(self.shown.task_ids[0], completed=share)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar off the terminal while something else is written there."""
        if self.shown is not None:
            self.shown.stop()
        try:
            yield
        finally:
            if self.shown is not None:
                self.shown.start()

    def close(self) -> None:
        """Take the bar away for good."""
        if self.shown is not None:
            self.shown.stop()
        self.on, self.shown = False, None

    def _show(self) -> "Progress":
        from rich.console import Console
        from rich.progress import Progress

        # What the program writes to stdout has to stay there, though the bar is on stderr.
        shown = Progress(
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        # Escaped, because rich reads square brackets in a label as markup.
        shown.add_task(self.label.replace("[", r"\["), total=1.0)
        shown.start()
        return shown


@contextmanager
def progress_bar(label: str) -> Iterator[ProgressBar]:
    """Give a bar to be told the share done; without a terminal it is never seen."""
    bar = ProgressBar(label, sys.stderr.isatty())
    try:
        yield bar
    finally:
        bar.close()
