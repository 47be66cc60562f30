"""Append results to a JSON lines file as they are finished, so that a killed batch can resume.

A line holds the file's object of docs/concepts/json.md, the fields of the call, and its inputs
(`made_of`): size and time of the file, and the options. It is valid as long as none of these has
changed.
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
    Coverage,
    Fault,
    OffsetSegment,
    StreamResult,
    TimelinePoint,
    TrackResult,
)
from avsync.scoring.result_json import SCHEMA, to_json

# Inputs of a result, as JSON: size and time of the file, and the options of the check.
Fingerprint = dict[str, Any]
# Every line begins like this.
BEGINNING = b'{"file": '
# Keys that are read back without conversion: of tracks and files, and of files only.
NUMBERS = ("status", "reason", "offset_ms", "confidence")
ANSWER = ("detail", "verdict", "borderline", "channel")
WHOLE = ("file", "duration_s", "video", "audio", "model", "profile", "search_s")
COVERAGE = ("supports", "against", "unknown")
STREAM = ("audio", "stream", "codec", "channels", "layout", "language", "title")


class _Line(NamedTuple):
    """Position of a line in the file, and the inputs of its result."""

    start: int
    size: int
    made_of: Fingerprint


class ResultsFile:
    """Results file that grows line by line; `finish` sorts the lines.

    Args:
        path: the file, created with its folder if missing.
        resume: continue with the lines that are there.

    Raises:
        ValueError: if the file is not empty, without `resume`, or holds something other than
            results.
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self.lines: dict[str, _Line] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not resume and self.path.exists() and self.path.stat().st_size:
            raise ValueError(f"{path} is not empty: continue it with resume, or delete it")
        self.file = FileIO(self.path, "a+")
        self.end = self._read()

    def has(self, name: str, made_of: Fingerprint) -> bool:
        """Return whether there is a result for that file from equal inputs."""
        return name in self.lines and self.lines[name].made_of == made_of

    def result(self, name: str) -> CheckResult:
        """Return the result for a file, with rounded numbers and without score maps."""
        return _result(json.loads(self._text(self.lines[name])))

    def add(self, result: CheckResult, made_of: Fingerprint) -> None:
        """Write a line and wait until it is on the disk."""
        document = to_json([result])
        (file,) = document.pop("files")
        text = json.dumps({**file, **document, "made_of": made_of}, allow_nan=False) + "\n"
        self.file.write(text.encode("ascii"))
        os.fsync(self.file.fileno())
        self.lines[result.file] = _Line(self.end, len(text), made_of)
        self.end += len(text)

    def finish(self, names: Iterable[str]) -> None:
        """Sort the lines: one for each name in this order, then other files. Close the file."""
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
        """Index the lines, cut off an incomplete last one, and return the size."""
        end = 0
        with open(self.path, "rb") as reading:
            for text in reading:
                if not text.startswith(BEGINNING[: len(text)]):
                    raise ValueError(f"{self.path} holds something other than results of avsync")
                if not text.endswith(b"\n"):
                    break
                with suppress(ValueError, KeyError, TypeError):
                    document = json.loads(text)
                    # A line of an earlier release is dropped, and its file checked again.
                    if document["schema"] == SCHEMA:
                        self.lines[document["file"]] = _Line(end, len(text), document["made_of"])
                end += len(text)
        self.file.truncate(end)
        return end


def file_fingerprint(path: Path) -> Fingerprint:
    """Return size and modification time of a file; an empty dict if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return {}
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _result(document: dict[str, Any]) -> CheckResult:
    return CheckResult(
        **{key: document[key] for key in WHOLE},
        **_answer(document),
        tracks=tuple(map(_track, document["tracks"])),
        not_read=tuple((start_s, end_s) for start_s, end_s in document["not_read"]),
        streams=tuple(map(_stream, document["streams"])),
    )


def _stream(document: dict[str, Any]) -> StreamResult:
    return StreamResult(
        **{key: document[key] for key in STREAM},
        **_answer(document),
        dispositions=tuple(document["dispositions"]),
    )


def _answer(document: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that the results of a file and of a stream share."""
    return {
        **{key: document[key] for key in (*ANSWER, *NUMBERS)},
        "interval_ms": _pair(document["interval_ms"]),
        "fault": _fault(document["fault"]),
        "coverage": _coverage(document["coverage_s"]),
    }


def _track(document: dict[str, Any]) -> TrackResult:
    return TrackResult(
        **{key: document[key] for key in ("track", "start_s", "end_s", *NUMBERS)},
        box=tuple(document["box"]),
        interval_ms=_pair(document["interval_ms"]),
        timeline=tuple(TimelinePoint(**point) for point in document["timeline"]),
        speaking=tuple((start_s, end_s) for start_s, end_s in document["speaking"]),
    )


def _coverage(document: dict[str, float] | None) -> Coverage | None:
    return None if document is None else Coverage(*(document[key] for key in COVERAGE))


def _fault(document: dict[str, Any] | None) -> Fault | None:
    if document is None:
        return None
    pieces = tuple(OffsetSegment(**segment) for segment in document["pieces"])
    return Fault(**{**document, "pieces": pieces})


def _pair(ends: list[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])
