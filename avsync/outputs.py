"""Outputs: which existing files a written one may replace.

An output replaces an earlier output of the same kind, which is recognised by its beginning, and an
empty file. Any other file needs `overwrite`: `avsync check --html *.mp4` would destroy the first
video. An input of the same call, under whatever name, is never replaced.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from avsync.atomic import is_stream, write_text

# Bytes by which a file is recognised. Our keys and our tags stand before what can be long.
HEAD_BYTES = 1 << 16
GENERATOR = b'<meta name="generator" content="avsync">'
BOM = b"\xef\xbb\xbf"


class OutputKind(NamedTuple):
    """A kind of output.

    Args:
        name: what it is, in the words of messages: `a report of avsync`.
        recognises: whether these bytes, up to 64 KiB, are the beginning of one.
    """

    name: str
    recognises: Callable[[bytes], bool]


class OutputFile(NamedTuple):
    """A file that a call may write: its flag or argument, path if it was given, and kind."""

    argument: str
    path: Path | None
    kind: OutputKind


def json_kind(name: str, *keys: str) -> OutputKind:
    """Return the kind of JSON objects that begin with these keys, the first one first."""
    first, *others = (re.escape(json.dumps(key).encode()) for key in keys)
    begins = re.compile(rb"\s*\{\s*" + first + rb"\s*:")
    patterns = [re.compile(other + rb"\s*:") for other in others]

    def recognises(head: bytes) -> bool:
        return begins.match(head) is not None and all(p.search(head) for p in patterns)

    return OutputKind(name, recognises)


def csv_kind(name: str, *columns: str) -> OutputKind:
    """Return the kind of tables whose header begins with one of these columns and has them all."""

    def recognises(head: bytes) -> bool:
        line = head.removeprefix(BOM).partition(b"\n")[0].decode("utf-8", "replace")
        try:
            header = next(csv.reader([line.rstrip("\r")]), [])
        except csv.Error:
            return False
        return header[:1] == [columns[0]] and set(columns) <= set(header)

    return OutputKind(name, recognises)


def any_kind(name: str, *kinds: OutputKind) -> OutputKind:
    """Return the kind of files that are of one of these."""
    return OutputKind(name, lambda head: any(kind.recognises(head) for kind in kinds))


# The JSON of the commands; that of one may replace that of another.
JSON_OUTPUT = any_kind(
    "a JSON output of avsync",
    json_kind("check", "schema", "files"),
    json_kind("separate", "schema", "output", "voices"),
    json_kind("talk", "schema", "generated", "speakers"),
    json_kind("evaluate sync", "model", "data", "protocol"),
    json_kind("evaluate lipread", "schema", "weights", "streams"),
    json_kind("evaluate separation", "schema", "references", "bss_eval"),
    json_kind("evaluate talking", "schema", "judges"),
    json_kind("score", "schema", "scores", "means"),
)
HTML_REPORT = OutputKind("a report of avsync", lambda head: GENERATOR in head[:4096])


def check_outputs(
    outputs: Iterable[OutputFile], inputs: Iterable[str | Path] = (), *, overwrite: bool = False
) -> None:
    """Check all outputs of a call before its work: they may be written, and are different files.

    Raises:
        ValueError: an output is an input, or another output.
        OSError: an output exists and may not be replaced, or its folder cannot be written to.
    """
    known = [Path(path) for path in inputs]
    seen: dict[str, str] = {}
    for output in outputs:
        if output.path is None:
            continue
        check_output(output.path, output.kind, known, overwrite=overwrite)
        if is_stream(output.path):
            continue
        other = seen.setdefault(os.path.realpath(output.path), output.argument)
        if other != output.argument:
            raise ValueError(f"{other} and {output.argument} must differ, got {output.path} twice")


def check_output(
    path: str | Path,
    kind: OutputKind,
    inputs: Iterable[str | Path] = (),
    *,
    overwrite: bool | None = False,
) -> None:
    """Check that a file may be written.

    Args:
        path: the output; a device or a pipe may always be written to.
        kind: what will be written. An earlier file of this kind may be replaced.
        inputs: files that the call reads; links to them count as the files.
        overwrite: replace a file of another kind too, but no input; None for a caller without such
            an option, which the message then does not name.

    Raises:
        ValueError: the path is an input, or no path at all.
        FileExistsError: it exists and is no earlier output of this kind.
        OSError: it is a folder, or its folder cannot be written to.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ValueError(f"an output must be a path, got {str(path)!r}")
    if is_stream(path):
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file")
    _check_folder(path)
    if any(_is_same(path, given) for given in inputs):
        raise ValueError(f"an output must not replace an input, got {path}")
    if path.exists() and not overwrite and not is_earlier_output(path, kind):
        allow = "" if overwrite is None else ", or allow to replace it with overwrite (--overwrite)"
        raise FileExistsError(f"{path} exists and is not {kind.name}; choose another path{allow}")


def write_output(
    path: str | Path,
    text: str,
    kind: OutputKind,
    inputs: Iterable[str | Path] = (),
    *,
    overwrite: bool = False,
) -> None:
    """Write UTF-8 text atomically after `check_output`."""
    check_output(path, kind, inputs, overwrite=overwrite)
    write_text(path, text)


def is_earlier_output(path: Path, kind: OutputKind) -> bool:
    """Return whether a file is empty or begins like an output of this kind."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except PermissionError:
        return False
    return not head or kind.recognises(head)


def _check_folder(path: Path) -> None:
    """Raise OSError if a file cannot be made in the folder of a path, which may be missing yet."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{path} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written: the folder {folder} is not writable")


def _is_same(path: Path, other: str | Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)
    except ValueError:
        return False
