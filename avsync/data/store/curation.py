"""Clean tables: CSV files that say which clips of a store are dropped from training or moved.

The columns are clip, source, action, offset_ms, confidence and why; action is keep, drop or move.
The tables can be edited by hand.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from avsync.escaping import csv_cell
from avsync.outputs import csv_kind, write_output

# By its header an earlier table is recognised, which may be replaced.
CLEAN_TABLE = csv_kind("a clean table of avsync", "clip", "source", "action")
Action = Literal["keep", "drop", "move"]


class CleanRow(NamedTuple):
    """A row of a clean table; `move` takes `offset_ms` off (positive = the audio leads)."""

    clip: str
    source: str
    action: Action
    offset_ms: float | None
    confidence: float
    why: str


class CleanList(NamedTuple):
    """Ids of the clips that are dropped, and offsets in ms by id of those that are moved."""

    dropped: frozenset[str]
    moved_ms: dict[str, float]


def write_clean_list(
    path: str | Path, rows: Iterable[CleanRow], *, overwrite: bool = False
) -> None:
    """Write a clean table atomically; it replaces a file of another kind with `overwrite` only."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CleanRow._fields)
    for row in rows:
        offset = "" if row.offset_ms is None else f"{row.offset_ms:.1f}"
        source, confidence = csv_cell(row.source, "./"), f"{row.confidence:.3f}"
        table.writerow((row.clip, source, row.action, offset, confidence, csv_cell(row.why)))
    write_output(path, text.getvalue(), CLEAN_TABLE, overwrite=overwrite)


def read_clean_lists(paths: Sequence[str | Path]) -> CleanList:
    """Read clean tables, of one or more stores; clips that no table lists are kept.

    Raises:
        ValueError: a file cannot be read, or a row has no valid action or no offset to move by.
    """
    dropped, moved = set(), {}
    for path in paths:
        try:
            with open(path, newline="", encoding="utf-8") as file:
                table = csv.DictReader(file)
                rows = list(table)
                if not {"clip", "action"} <= set(table.fieldnames or ()):
                    raise ValueError("it has no columns clip and action")
        except (OSError, ValueError, csv.Error) as error:
            raise ValueError(f"clean must name a table of clips, got {path}: {error}") from error
        for number, row in enumerate(rows, start=2):
            clip, action = row.get("clip"), row.get("action")
            if not clip or action not in get_args(Action):
                raise ValueError(
                    f"{path} must say for each clip keep, drop or move, got {action!r} in line "
                    f"{number}"
                )
            if action == "drop":
                dropped.add(clip)
            elif action == "move":
                moved[clip] = _number(row.get("offset_ms"), path, number)
    return CleanList(frozenset(dropped), moved)


def _number(text: str | None, path: str | Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path} must give offset_ms of a clip to move, got {text!r} in {line}")
    return value
