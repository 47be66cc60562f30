"""Argument types that sub-commands share, and printing."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from avsync.escaping import printable

File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Files = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")]
Sources = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="FILE|STORE...")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
Videos = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE|DIR")]
StorePath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
OptionalName = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
OptionalFile = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Pattern = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PATTERN")]

InputFile = Annotated[Path, tyro.conf.arg(metavar="FILE")]
InputFolder = Annotated[Path, tyro.conf.arg(metavar="DIR")]
OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
OptionalPath = Annotated[Path | None, tyro.conf.arg(metavar="FILE|DIR")]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH")]
OutputFolder = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
OptionalOutput = Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="PATH")]
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


def path_of(output: str | None) -> Path | None:
    """Return the path of an output that may be `-` for standard output."""
    return None if output is None or output == "-" else Path(output)


def with_config(files: Sequence[Path], weights: Path | None) -> list[Path]:
    """Return the files that a call reads: these, and the weights with the config beside them."""
    return [*files, *([] if weights is None else [weights, weights.with_suffix(".json")])]


def say(*lines: str) -> None:
    """Print lines and flush them, so that a pipe gets them at once; names in them are escaped."""
    print("\n".join(map(printable, lines)), flush=True)


def complain(message: object) -> None:
    """Print one line on standard error; names in it are escaped."""
    print(f"avsync: {printable(str(message))}", file=sys.stderr)
