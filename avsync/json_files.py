"""Read JSON of unknown origin: nothing that a file holds takes unbounded memory or a traceback."""

import json
from pathlib import Path
from typing import Any

# Larger than any config, splits file or table of a corpus; a video named by mistake is not read.
MAX_JSON_BYTES = 1 << 28


def read_json(path: str | Path) -> Any:
    """Return the document of a UTF-8 JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON, too large or nested too deeply.
    """
    return parse_json(read_text(path))


def read_text(path: str | Path) -> str:
    """Return the text of a UTF-8 file; ValueError if it is not UTF-8 or over 256 MiB."""
    # Read up to the limit, not measured: a pipe or a device has no size.
    with open(path, "rb") as file:
        data = file.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"it is larger than {MAX_JSON_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text: {error.reason} at byte {error.start}") from error


def parse_json(text: str) -> Any:
    """Return the document of a text; ValueError also for one that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
