"""Which clips of a store are left out of training, and which are moved: a table that can be edited.

CLIP,SOURCE,ACTION,OFFSET_MS,CONFIDENCE,WHY with ACTION keep, drop or move.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from avsync.atomic import write_text

Action = Literal["keep", "drop", "move"]


class CleanRow(NamedTuple):
    """What becomes of a clip; `move` takes `offset_ms` off, positive = the audio leads."""

    clip: str
    source: str
    action: Action
    offset_ms: float | None
    confidence: float
    why: str


class CleanList(NamedTuple):
    """The ids of the clips that are dropped, and the offsets of those that are moved, in ms."""

    dropped: frozenset[str]
    moved_ms: dict[str, float]


def write_clean_list(path: str | Path, rows: Iterable[CleanRow]) -> None:
    """Write the table, whole or not at all."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CleanRow._fields)
    for row in rows:
        offset = "" if row.offset_ms is None else f"{row.offset_ms:.1f}"
        table.writerow(row._replace(offset_ms=offset, confidence=f"{row.confidence:.3f}"))  # type: ignore[arg-type]
    write_text(path, text.getvalue())


def read_clean_lists(paths: Sequence[str | Path]) -> CleanList:
    """Read tables; a clip that none names stays as it is. ValueError where one is not as said."""
    dropped, moved = set(), {}
    for path in paths:
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError) as error:
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
