"""Arguments that sub-commands share, and how they print."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH")]
OutputPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
Detector = Literal["best", "yunet", "haar"]
Flag = tyro.conf.FlagCreatePairsOff[bool]


def named(detector: Detector) -> str | None:
    """Return the detector's name, None for the best there is."""
    return None if detector == "best" else detector


def say(line: str) -> None:
    """Print a line at once, whoever reads it."""
    print(line, flush=True)
