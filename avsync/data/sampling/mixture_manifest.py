"""Mixture manifests: small JSON lines files that list the sources and levels of mixtures.

The first line states the sample rate and length of the mixtures. Whoever has the same sources gets
the same mixtures from a manifest, bit for bit.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avsync.data.sampling.mixtures import MixtureRow, Mixtures
from avsync.json_files import parse_json, read_text
from avsync.outputs import json_kind, write_output
from avsync.tasks.separation.input_spec import SeparationSpec

KIND = "avsync mixtures 1"
MAX_NUMBER = 2**53
MANIFEST = json_kind("a manifest of mixtures of avsync", "kind", "sample_rate", "samples")
TYPES: dict[str, tuple[type, ...]] = {
    "target": (str,),
    "frame": (int,),
    "accompaniment": (str, type(None)),
    "accompaniment_at": (int,),
    "second": (str, type(None)),
    "second_at": (int,),
    "level_db": (float, int),
    "second_db": (float, int),
}


def draw_rows(mixtures: Mixtures, count: int, seed: int) -> list[MixtureRow]:
    """Draw the first `count` mixtures of a seed; a larger count begins with the same ones."""
    return [mixtures.draw(np.random.default_rng((seed, number))) for number in range(count)]


def write_manifest(
    path: str | Path, rows: Sequence[MixtureRow], spec: SeparationSpec, *, overwrite: bool = False
) -> None:
    """Write the mixtures for a task with this rate and chunk length, atomically.

    An earlier manifest is replaced, another file with `overwrite` only.
    """
    lines = [_header(spec), *(row._asdict() for row in rows)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_output(path, text, MANIFEST, overwrite=overwrite)


def read_manifest(path: str | Path, spec: SeparationSpec) -> list[MixtureRow]:
    """Read the mixtures of a file; the sources that it names are not looked up.

    Raises:
        ValueError: the file is damaged, or was made for another rate or length.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} must be a manifest of mixtures: {error}") from error
    header = _parse(path, lines[0] if lines else "", 1)
    if header != _header(spec):
        raise ValueError(f"{path} must begin with {_header(spec)}, got {header}")
    return [_row(path, line, number) for number, line in enumerate(lines[1:], start=2)]


def _header(spec: SeparationSpec) -> dict[str, Any]:
    return {
        "kind": KIND,
        "sample_rate": spec.sample_rate,
        "samples": spec.samples,
        "fps": spec.fps,
        "frames": spec.frames,
    }


def _row(path: str | Path, line: str, number: int) -> MixtureRow:
    given = _parse(path, line, number)
    valid = set(given) == set(TYPES) and all(isinstance(given[k], TYPES[k]) for k in TYPES)
    numbers = [value for value in given.values() if isinstance(value, int | float)]
    if not valid or not all(abs(value) < MAX_NUMBER for value in numbers):
        raise ValueError(f"{path} is damaged in line {number}: expected {', '.join(TYPES)}")
    return MixtureRow(**given)


def _parse(path: str | Path, line: str, number: int) -> dict[str, Any]:
    try:
        found = parse_json(line)
    except ValueError as error:
        raise ValueError(f"{path} is damaged in line {number}: {error}") from error
    return found if isinstance(found, dict) else {}
