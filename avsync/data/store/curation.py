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
from avsync.data.store.reader import PreparedClip, samples_in
from avsync.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

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


def put_right(
    clips: Iterable[PreparedClip], clean: CleanList, zero_ms: float = 0.0
) -> list[PreparedClip]:
    """Return the clips that are not dropped, those to be moved with an offset of `zero_ms`, as the others.

    Their arrays stay on disk: frames or audio without a counterpart are left out.
    """
    return [
        _moved(clip, clean.moved_ms[clip.id] - zero_ms) if clip.id in clean.moved_ms else clip
        for clip in clips
        if clip.id not in clean.dropped
    ]


def _moved(clip: PreparedClip, lead_ms: float) -> PreparedClip:
    lead = round(lead_ms * SAMPLE_RATE / 1000)
    # Audio that leads belongs to later frames: those before the first of them have none.
    first = max(0, -(-lead // SAMPLES_PER_FRAME))
    begin = first * SAMPLES_PER_FRAME - lead
    count = min(len(clip.face) - first, (len(clip.wav_16k) - begin) // SAMPLES_PER_FRAME)
    if count < 1:
        raise ValueError(
            f"clip {clip.id} of {clip.duration_s:.1f} s cannot move by {lead_ms:.0f} ms"
        )
    frames = slice(first, first + count)
    at = clip.sample_rate * begin // SAMPLE_RATE
    return clip._replace(
        start_s=clip.start_s + first / FPS,
        face=clip.face[frames],
        mouth=clip.mouth[frames],
        boxes=clip.boxes[frames],
        points=clip.points[frames],
        head=None if clip.head is None else clip.head[frames],
        wav_16k=clip.wav_16k[begin : begin + count * SAMPLES_PER_FRAME],
        wav=clip.wav[at : at + samples_in(count, clip.sample_rate)],
    )


def _number(text: str | None, path: str | Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path} must give offset_ms of a clip to move, got {text!r} in {line}")
    return value
