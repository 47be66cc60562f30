"""Read and write the boxes (atoms) of MP4 and MOV files.

Source: ISO/IEC 14496-12, 4.2; QuickTime File Format.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

# Boxes that hold boxes, as far as they are changed here.
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
# A larger index is not read into memory: it is that of days of video, or damaged.
MAX_INDEX_BYTES = 1 << 30


class UnknownStructure(ValueError):
    """Raised for a file whose structure cannot be edited; it is remuxed instead."""


class Extent(NamedTuple):
    """A box at the top level of a file: from `start` to `end`, with its contents from `body`."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass
class Box:
    """A box in memory.

    Args:
        kind: its type, four bytes.
        body: its contents; of a container, what follows its children.
        children: boxes of a container.
    """

    kind: bytes
    body: bytes = b""
    children: list["Box"] = field(default_factory=list)

    def find(self, *path: bytes) -> "Box | None":
        """Return the first box at a path of types below this one."""
        return next(self.all(*path), None)

    def all(self, *path: bytes) -> Iterator["Box"]:
        """Yield all boxes at a path of types below this one."""
        for child in self.children:
            if child.kind == path[0]:
                if path[1:]:
                    yield from child.all(*path[1:])
                else:
                    yield child

    def get(self, *path: bytes) -> "Box":
        """Return the first box at a path of types.

        Raises:
            UnknownStructure: if there is none.
        """
        found = self.find(*path)
        if found is None:
            raise UnknownStructure(f"{self.kind!r} has no {b'/'.join(path)!r}")
        return found

    def to_bytes(self) -> bytes:
        """Return the box with its header."""
        content = b"".join(child.to_bytes() for child in self.children) + self.body
        size = 8 + len(content)
        if size < 1 << 32:
            return struct.pack(">I4s", size, self.kind) + content
        return struct.pack(">I4sQ", 1, self.kind, size + 8) + content


def top_level_boxes(path: Path) -> list[Extent]:
    """Return the boxes at the top level of a file.

    Raises:
        UnknownStructure: if it does not consist of boxes.
    """
    found = []
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at + 8 <= size:
            kind, body, end = _header(file, at, size)
            found.append(Extent(kind, at, body, end))
            at = end
    return found


def index_extent(path: Path) -> tuple[Extent, bool]:
    """Return the index (`moov`) of a file, and whether it precedes the media data (`mdat`).

    Raises:
        UnknownStructure: if the file has no index, or more than one.
    """
    boxes = top_level_boxes(path)
    index = [box for box in boxes if box.kind == b"moov"]
    if len(index) != 1:
        raise UnknownStructure(f"expected one moov, got {len(index)}")
    data = [box.start for box in boxes if box.kind == b"mdat"]
    return index[0], bool(data) and index[0].start < min(data)


def read_box(path: Path, extent: Extent) -> Box:
    """Read a box with what it holds.

    Raises:
        UnknownStructure: if it is damaged or too large.
    """
    if extent.end - extent.body > MAX_INDEX_BYTES:
        raise UnknownStructure(f"{extent.kind!r} has {extent.end - extent.body} bytes")
    with path.open("rb") as file:
        file.seek(extent.body)
        return _parse(extent.kind, file.read(extent.end - extent.body))


def _parse(kind: bytes, content: bytes) -> Box:
    if kind not in CONTAINERS:
        return Box(kind, content)
    box, at = Box(kind), 0
    while at + 8 <= len(content):
        size, child = struct.unpack_from(">I4s", content, at)
        head = 8
        if size == 1 and at + 16 <= len(content):
            (size,) = struct.unpack_from(">Q", content, at + 8)
            head = 16
        if size == 0:
            break  # QuickTime ends some lists with a zero.
        if not head <= size <= len(content) - at:
            raise UnknownStructure(f"{child!r} in {kind!r} has a size of {size}")
        box.children.append(_parse(child, content[at + head : at + size]))
        at += size
    box.body = content[at:]
    return box


def _header(file: BinaryIO, at: int, end: int) -> tuple[bytes, int, int]:
    """Return the type of the box at `at`, where its contents start, and its end."""
    file.seek(at)
    head = file.read(16)
    size, kind = struct.unpack_from(">I4s", head)
    body = at + 8
    if size == 1 and len(head) == 16:
        (size,) = struct.unpack_from(">Q", head, 8)
        body = at + 16
    stop = at + size if size else end
    if not body <= stop <= end:
        raise UnknownStructure(f"{kind!r} at {at} has a size of {size}")
    return kind, body, stop
