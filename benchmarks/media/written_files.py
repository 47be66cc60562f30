"""Read what a command wrote so that two runs can be compared: without times, ids and dates."""

import csv
import hashlib
import json
import re
from collections.abc import Hashable
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from benchmarks.media.repaired_file import describe, payloads

# Contents of files by their paths in the output folder; equal contents compare equal.
Contents = dict[str, Hashable]

MEDIA = (".mp4", ".mkv", ".mov", ".webm", ".avi")
# Keys and columns that differ from run to run.
CHANGING = ("seconds", "date", "elapsed_s", "frames_per_s", "made_of")
DATES = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?: UTC|\+00:00|Z)?")

TAGS = re.compile(r"<[^>]*>")


def read_folder(folder: Path) -> Contents:
    """Read all files below a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def content(path: Path) -> Hashable:
    """Return what a file contains; its bytes if it is damaged or has no part that changes."""
    data = path.read_bytes()
    try:
        if path.suffix in MEDIA:
            return _media(path)
        if path.suffix in (".json", ".jsonl"):
            lines = data.decode().splitlines() if path.suffix == ".jsonl" else [data.decode()]
            return json.dumps([_steady(json.loads(line)) for line in lines], sort_keys=True)
        if path.suffix == ".csv":
            rows = list(csv.DictReader(StringIO(data.decode())))
            return json.dumps([_steady(row) for row in rows], sort_keys=True)
        if path.suffix == ".pt":
            state = torch.load(path, weights_only=True)
            return hash(repr(_steady({**state, "log": None})))
        if path.suffix == ".html":
            # The text: how many previews a report has depends on the time that they take.
            return DATES.sub("", " ".join(TAGS.sub(" ", data.decode()).split()))
    except (ValueError, RuntimeError, OSError):
        pass
    return hashlib.sha256(data).hexdigest()


def _media(path: Path) -> Hashable:
    # Without the ids that a muxer draws: streams and packets.
    packets = {index: hash(tuple(found)) for index, found in payloads(path).items()}
    if not any(packets.values()):
        raise ValueError("no packets")
    return repr(describe(path)), tuple(packets.items())


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner) for key, inner in value.items() if key not in CHANGING}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    return value
