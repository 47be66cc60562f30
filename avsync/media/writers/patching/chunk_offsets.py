"""Move the file offsets in the index of an MP4 or MOV file, and put the index before the data.

Source: ISO/IEC 14496-12, 8.7.5.
"""

from pathlib import Path

import numpy as np

from avsync.media.writers.patching.boxes import Box, UnknownStructure, top_level_boxes

TABLE = (b"trak", b"mdia", b"minf", b"stbl")
LARGEST = (1 << 32) - 1
CHUNK = 1 << 22


def move_offsets(moov: Box, start: int, by: int) -> None:
    """Add `by` to the file offsets of media data that lies at `start` or behind.

    Raises:
        UnknownStructure: if an offset would no longer fit, or there are other offsets.
    """
    for table in moov.all(*TABLE):
        if table.find(b"saio"):
            raise UnknownStructure("auxiliary data may be at absolute offsets")
        for box in table.children:
            if box.kind not in (b"stco", b"co64"):
                continue
            dtype = ">u4" if box.kind == b"stco" else ">u8"
            offsets = np.frombuffer(box.body[8:], dtype).astype(np.int64)
            moved = offsets + by * (offsets >= start)
            if box.kind == b"stco" and moved.max(initial=0) > LARGEST:
                raise UnknownStructure("an offset exceeds 32 bits")
            box.body = box.body[:8] + moved.astype(dtype).tobytes()


def widen_offsets(moov: Box) -> None:
    """Store all file offsets with 64 bits."""
    for table in moov.all(*TABLE):
        for box in table.children:
            if box.kind == b"stco":
                offsets = np.frombuffer(box.body[8:], ">u4")
                box.kind, box.body = b"co64", box.body[:8] + offsets.astype(">u8").tobytes()


def put_index(path: Path, moov: Box, *, front: bool) -> None:
    """Replace the index at the end of a file, and move it before the media data if asked to.

    The data is moved within the file, so that no second copy is needed.
    """
    boxes = top_level_boxes(path)
    index = boxes[-1]
    if index.kind != b"moov":
        raise UnknownStructure("the index is not the last box")
    start = boxes[0].end if boxes[0].kind == b"ftyp" else 0
    if front:
        if index.start + 2 * (index.end - index.start) > LARGEST:
            widen_offsets(moov)
        move_offsets(moov, start, len(moov.to_bytes()))
    content = moov.to_bytes()
    with path.open("r+b") as file:
        file.truncate(index.start)
        at = index.start
        if front:
            # From the end on, so that nothing is overwritten before it is read.
            for first in reversed(range(start, index.start, CHUNK)):
                file.seek(first)
                block = file.read(min(CHUNK, index.start - first))
                file.seek(first + len(content))
                file.write(block)
            at = start
        file.seek(at)
        file.write(content)
