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


@contextmanager
def progress_bar(label: str) -> Iterator[Report]:
    """Gives a function that is told the share done; the bar appears after two seconds."""
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    bar = _Bar(label)
    try:
        yield bar.report
    finally:
        bar.close()


class _Bar:
    def __init__(self, label: str) -> None:
        self.label = label
        self.started_s = time.monotonic()
        self.shown: Progress | None = None

    def report(self, share: float) -> None:
        if self.shown is None and time.monotonic() - self.started_s >= PATIENCE_S:
            self.shown = self._show()
        if self.shown is not None:
            self.shown.update(self.shown.task_ids[0], completed=share)

    def close(self) -> None:
        if self.shown is not None:
            self.shown.stop()

    def _show(self) -> "Progress":
        from rich.console import Console
        from rich.progress import Progress

        shown = Progress(console=Console(stderr=True), transient=True)
        # Escaped, because rich reads square brackets in a label as markup.
        shown.add_task(self.label.replace("[", r"\["), total=1.0)
        shown.start()
        return shown
