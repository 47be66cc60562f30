"""Results as JSON lines, one a file, written as each is there: a batch that is killed goes on.

A line holds the file's entry of docs/concepts/json.md, the fields of the call, and its inputs: size
and time of the file, and the options. It counts only as long as none of these has changed.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from avsync.atomic import replacing
from avsync.scoring.result import (
    CheckResult,
    Fault,
    OffsetSegment,
    TimelinePoint,
    TrackResult,
    to_json,
)

Fingerprint = dict[str, Any]
BEGINNING = b'{"file": '
NUMBERS = ("status", "reason", "offset_ms", "confidence")
WHOLE = ("file", "detail", "verdict", "borderline", "duration_s", "model", "profile", "search_s")


class _Line(NamedTuple):
    """Where a line lies in the file, and what its result was made of."""

    start: int
    size: int
    made_of: Fingerprint


class ResultsFile:
    """A file of results that grows line by line; `finish` brings the lines into order.

    Args:
        path: the file, made if missing, with its folder.
        resume: go on with the lines that are there. Without it, a file that holds something is
            refused with a ValueError; a file that holds no results is refused in any case.
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self.lines: dict[str, _Line] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not resume and self.path.exists() and self.path.stat().st_size:
            raise ValueError(
                f"{path} holds something already: resume goes on with it, or take it away"
            )
        self.file = FileIO(self.path, "a+")
        self.end = self._read()

    def has(self, name: str, made_of: Fingerprint) -> bool:
        """Return whether there is a result for that file, made of the same."""
        return name in self.lines and self.lines[name].made_of == made_of

    def result(self, name: str) -> CheckResult:
        """Return the result for a file; its numbers are rounded, and its score maps are not kept."""
        return _result(json.loads(self._text(self.lines[name])))

    def add(self, result: CheckResult, made_of: Fingerprint) -> None:
        """Write a line and waits until it is on the disk."""
        document = to_json([result])
        (embedding,) = document.pop("files")
        text = json.dumps({**embedding, **document, "made_of": made_of}, allow_nan=False) + "\n"
        self.file.write(text.encode("ascii"))
        os.fsync(self.file.fileno())
        self.lines[result.file] = _Line(self.end, len(text), made_of)
        self.end += len(text)

    def finish(self, names: Iterable[str]) -> None:
        """Leave one line for each file, in this order, then those of other files; and closes."""
        order = dict.fromkeys([*(name for name in names if name in self.lines), *self.lines])
        with replacing(self.path) as beside:
            with open(beside, "wb") as ordered:
                for name in order:
                    ordered.write(self._text(self.lines[name]))
            self.close()

    def close(self) -> None:
        self.file.close()

    def _text(self, line: _Line) -> bytes:
        self.file.seek(line.start)
        return self.file.read(line.size)

    def _read(self) -> int:
        """Take in the lines that are there, and cuts off one that a kill has left half."""
        end = 0
        with open(self.path, "rb") as reading:
            for text in reading:
                if not text.startswith(BEGINNING[: len(text)]):
                    raise ValueError(f"{self.path} holds something else than results of avsync")
                if not text.endswith(b"\n"):
                    break
                with suppress(ValueError, KeyError, TypeError):
                    document = json.loads(text)
                    self.lines[document["file"]] = _Line(end, len(text), document["made_of"])
                end += len(text)
        self.file.truncate(end)
        return end


def file_fingerprint(path: Path) -> Fingerprint:
    """Size and time of change of a file; none for a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return {}
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _result(document: dict[str, Any]) -> CheckResult:
    return CheckResult(
        **{key: document[key] for key in (*WHOLE, *NUMBERS)},
        interval_ms=_pair(document["interval_ms"]),
        tracks=tuple(map(_track, document["tracks"])),
        fault=_fault(document["fault"]),
    )


def _track(document: dict[str, Any]) -> TrackResult:
    return TrackResult(
        **{key: document[key] for key in ("track", "start_s", "end_s", *NUMBERS)},
        box=tuple(document["box"]),
        interval_ms=_pair(document["interval_ms"]),
        timeline=tuple(TimelinePoint(**point) for point in document["timeline"]),
        speaking=tuple((start_s, end_s) for start_s, end_s in document["speaking"]),
    )


def _fault(document: dict[str, Any] | None) -> Fault | None:
    if document is None:
        return None
    pieces = tuple(OffsetSegment(**piece) for piece in document["pieces"])
    return Fault(**{**document, "pieces": pieces})


def _pair(ends: list[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])
