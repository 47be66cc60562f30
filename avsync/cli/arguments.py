"""Argument types that sub-commands share, and printing."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Files = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")]
Sources = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE|STORE...")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
StorePath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]

InputFile = Annotated[Path, tyro.conf.arg(metavar="FILE")]
InputFolder = Annotated[Path, tyro.conf.arg(metavar="DIR")]
OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH")]
OutputFolder = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
OutputPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
JsonPath = Annotated[str | None, tyro.conf.arg(metavar="PATH|-")]
Lists = Annotated[tuple[str, ...], tyro.conf.arg(name="list", metavar="FILE...")]
ModelName = Annotated[str, tyro.conf.arg(metavar="NAME")]
Who = Annotated[str | None, tyro.conf.arg(metavar="WHO")]
Frames = Annotated[int | None, tyro.conf.arg(metavar="N")]
CorpusOffset = Annotated[float, tyro.conf.arg(aliases=["--zero-ms"])]
Detector = Literal["best", "yunet", "haar"]
Flag = tyro.conf.FlagCreatePairsOff[bool]


def detector_name(detector: Detector) -> str | None:
    """Return the detector's name, None for `best`."""
    return None if detector == "best" else detector


def say(line: str) -> None:
    """Print a line and flush it, so that a pipe gets it at once."""
    print(line, flush=True)
