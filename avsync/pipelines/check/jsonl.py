"""Append results to a JSON lines file as they are finished, so that a killed batch can resume.

A line holds the file's object of docs/concepts/json.md, the fields of the call, and its inputs
(`made_of`): size, time and hash of the file, and the options. It is valid as long as none of these
has changed, but the time if the hash has not.
"""

import json
import os
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

from avsync.atomic import replacing
from avsync.json_files import parse_json
from avsync.locks import locked
from avsync.outputs import OutputKind
from avsync.pipelines.check.line_index import MTIME, SIZE, Fingerprint, Line, LineIndex
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

# Every line begins like this.
BEGINNING = b'{"file": '
# The first line of an earlier file may be damaged; the end of a line, `made_of`, may be far away.
JSONL_RESULTS = OutputKind(
    "the JSON lines of an avsync check",
    lambda head: any(
        line.startswith(BEGINNING) and b'"status": ' in line and b'"verdict": ' in line
        for line in head.split(b"\n")
    ),
)
# No result is this long; a video may have no line feed at all.
MAX_LINE_BYTES = 1 << 26
# Keys that are read back without conversion: of tracks and files, and of files only.
NUMBERS = ("status", "reason", "offset_ms", "confidence")
ANSWER = ("detail", "verdict", "borderline", "channel")
WHOLE = ("file", "duration_s", "video", "audio", "model", "profile", "search_s")
# Keys that lines of earlier releases lack.
ADDED = ("zero_uncertainty_ms", "source_spread_ms")
COVERAGE = ("supports", "against", "unknown")
STREAM = ("audio", "stream", "codec", "channels", "layout", "language", "title")


class ResultsFile:
    """Results file that grows line by line; `finish` sorts the lines.

    It is locked until it is closed. Lines that cannot be read are kept in `PATH.bad`, with a
    warning, and their files count as not checked.

    Args:
        path: the file, created with its folder if missing.
        resume: continue with the lines that are there.
        overwrite: without `resume`, drop what is there.

    Raises:
        ValueError: if the file is not empty, without `resume`, or holds something other than
            results.
        InUseError: if another batch writes to it.
    """

    def __init__(self, path: str | Path, *, resume: bool = False, overwrite: bool = False) -> None:
        # What a link names is replaced at the end, not the link.
        self.path = Path(os.path.realpath(path))
        self.index = LineIndex()
        with ExitStack() as lock:
            lock.enter_context(locked(self.path))
            replaced = overwrite and not resume
            if not (resume or replaced) and self.path.exists() and self.path.stat().st_size:
                raise ValueError(f"{path} is not empty: continue it with resume, or delete it")
            self.file = FileIO(self.path, "a+")
            lock.callback(self.file.close)
            if replaced:
                self.file.truncate(0)
            self.end = self._read()
            self._lock = lock.pop_all()

    def has(self, name: str, made_of: Fingerprint) -> bool:
        """Return whether there is a result for that file from equal inputs."""
        return self.index.has(name, made_of)

    def result(self, name: str) -> CheckResult:
        """Return the result for a file, with rounded numbers and without score maps."""
        line = self.index.find(name)
        if line is None:
            raise KeyError(name)
        return _result(json.loads(self._text(line)))

    def contents(self, name: str, made_of: Fingerprint) -> frozenset[str]:
        """Return the hashes of files that have a result which that file may share."""
        return self.index.contents(name, made_of)

    def add(self, result: CheckResult, made_of: Fingerprint) -> None:
        """Write a line and wait until it is on the disk."""
        document = to_json([result])
        (file,) = document.pop("files")
        self._write(result.file, {**file, **document}, made_of)

    def add_copy(self, name: str, made_of: Fingerprint) -> CheckResult:
        """Write the line of a file whose content another file had, and return its result."""
        line = self.index.with_content(name, made_of)
        if line is None:
            raise KeyError(name)
        document = {**json.loads(self._text(line)), "file": name}
        self._write(name, document, made_of)
        return _result(document)

    def finish(self, names: Iterable[str]) -> None:
        """Sort the lines: one for each name in this order, then other files. Close the file."""
        with replacing(self.path) as beside:
            with open(beside, "wb") as ordered:
                for line in self.index.in_order(names):
                    ordered.write(self._text(line))
            self.file.close()
        self.close()

    def close(self) -> None:
        """Close the file and release its lock."""
        self._lock.close()

    def _write(self, name: str, document: Fingerprint, made_of: Fingerprint) -> None:
        text = json.dumps({**document, "made_of": made_of}, allow_nan=False) + "\n"
        self.file.write(text.encode("ascii"))
        os.fsync(self.file.fileno())
        self.index.add(name, Line(self.end, len(text)), made_of)
        self.end += len(text)

    def _text(self, line: Line) -> bytes:
        self.file.seek(line.start)
        return self.file.read(line.length)

    def _read(self) -> int:
        """Index the lines, cut off an incomplete last one, and return the size."""
        end, ours, cut = 0, 0, b""
        bad: list[bytes] = []
        with open(self.path, "rb") as reading:
            while text := reading.readline(MAX_LINE_BYTES):
                if not text.endswith(b"\n"):
                    cut = text
                    break
                document = _parsed(text)
                ours += document is not None
                end += len(text)
                if document is not None and document["schema"] != SCHEMA:
                    continue  # Of an earlier release: the file is checked again.
                try:
                    result = _result(document or {})
                    made_of = (document or {})["made_of"]
                    self.index.add(result.file, Line(end - len(text), len(text)), made_of)
                except (KeyError, TypeError, ValueError):
                    bad.append(text)
        if (bad and not ours) or len(cut) >= MAX_LINE_BYTES or not (ours or _may_be_cut(cut)):
            raise ValueError(f"{self.path} holds something other than results of avsync")
        self._keep_bad(bad if ours else [*bad, cut])
        self.file.truncate(end)
        return end

    def _keep_bad(self, lines: list[bytes]) -> None:
        """Append lines that cannot be read to `PATH.bad`, each once, and warn."""
        text = b"".join(lines)
        if not text:
            return
        kept = self.path.with_name(f"{self.path.name}.bad")
        if not kept.exists() or text not in kept.read_bytes():
            with open(kept, "ab") as file:
                file.write(text)
        warnings.warn(
            f"{len(lines)} lines of {self.path} could not be read: they are kept in {kept}, and "
            "the files they were of are checked again",
            stacklevel=4,
        )


def file_fingerprint(path: Path) -> Fingerprint:
    """Return size and modification time of a file; an empty dict if it is missing."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # A NUL byte in the name is a ValueError.
        return {}
    return {SIZE: found.st_size, MTIME: found.st_mtime_ns}


def _parsed(text: bytes) -> dict[str, Any] | None:
    """Return the object of a line if it has the keys of a result, else None."""
    try:
        document = parse_json(text.decode("utf-8"))
    except ValueError:
        return None
    keys = ("file", "status", "made_of", "schema")
    if not isinstance(document, dict) or not all(key in document for key in keys):
        return None
    valid = isinstance(document["file"], str) and isinstance(document["made_of"], dict)
    return document if valid else None


def _may_be_cut(text: bytes) -> bool:
    """Return whether the last line, without its line feed, may be the beginning of a result."""
    if not text.startswith(BEGINNING[: len(text)]):
        return False
    try:
        parse_json(text.decode("utf-8"))
    except ValueError:
        return True
    return _parsed(text) is not None


def _result(document: dict[str, Any]) -> CheckResult:
    added: dict[str, Any] = {key: document.get(key) for key in ADDED}
    return CheckResult(
        **{key: document[key] for key in WHOLE},
        **added,
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
