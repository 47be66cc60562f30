"""Copy a file with some of its bytes replaced."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

CHUNK = 1 << 22


class Patch(NamedTuple):
    """New bytes for those from `start` to `end` of a file; their number may differ."""

    start: int
    end: int
    content: bytes


def copy_with_patches(source: Path, target: Path, patches: Iterable[Patch]) -> None:
    """Copy a file with replaced bytes; the patches are in order and do not overlap."""
    with source.open("rb") as reading, target.open("wb") as writing:
        for patch in patches:
            _copy(reading, writing, patch.start - reading.tell())
            writing.write(patch.content)
            reading.seek(patch.end)
        _copy(reading, writing, None)


def _copy(reading: BinaryIO, writing: BinaryIO, count: int | None) -> None:
    """Copy `count` bytes, None for the rest."""
    while count is None or count > 0:
        block = reading.read(CHUNK if count is None else min(CHUNK, count))
        if not block:
            return
        writing.write(block)
        count = None if count is None else count - len(block)
