"""Count the tags of a file before FFmpeg reads them.

FFmpeg looks up every tag among all former ones, so that 100000 tags, 7 MB, take minutes. Where it
reads a file meanwhile, time limits apply (`open_limits.py`); Matroska, FLAC, Ogg and ID3 are
read first. Layouts: Matroska: RFC 9559, EBML: RFC 8794; FLAC: RFC 9639; Vorbis comments: "Ogg
Vorbis I format specification: comment field and header specification"; ID3: id3.org, 2.2 to 2.4.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAX_TAGS = 10_000
# Bytes of one element that are read, at once or in chunks; elements that are visited; and bytes of
# an Ogg file that hold the first pages of its streams.
MAX_READ, CHUNK, MAX_ELEMENTS, OGG_BYTES = 64 << 20, 1 << 18, 2000, 1 << 20

EBML, SEGMENT, CLUSTER, SEEK_HEAD, TAGS = map(
    bytes.fromhex, ("1A45DFA3", "18538067", "1F43B675", "114D9B74", "1254C367")
)
# Two bytes, which occur by chance too, a thousand times in 64 MB.
SIMPLE_TAG = b"\x67\xc8"
# Entry of a seek head, SeekID and SeekPosition: a size of up to 8 may be coded in 1 to 8 bytes.
SIZE = rb"(?:[\x81-\x88]|(?:\x40|[\x20\x10\x08\x04\x02\x01]\x00{1,6})[\x01-\x08])"
SEEK = re.compile(rb"\x53\xab" + SIZE + rb"(.{4})\x53\xac" + SIZE + rb"(.{1,8})", re.DOTALL)
COMMENTS = re.compile(rb"\x03vorbis|OpusTags|\x81theora|OVP80\x02\x20")
COMMENT_BLOCK = 4


def count_tags(path: str | os.PathLike[str]) -> int:
    """Return about how many tags a Matroska, FLAC, Ogg or ID3 file has, 0 for others."""
    with Path(path).open("rb") as file:
        magic = file.read(4)
        if magic == b"fLaC":
            return sum(_comments(block) for block in _flac_comments(file))
        if magic == b"OggS":
            head = magic + file.read(OGG_BYTES)
            return sum(_comments(head[found.end() :]) for found in COMMENTS.finditer(head))
        if magic[:3] == b"ID3":
            return sum(1 for _ in _id3_frames(file, magic[3]))
        return _matroska_tags(file) if magic == EBML else 0


def _matroska_tags(file: BinaryIO) -> int:
    """Count all before the first cluster, in elements or not, and what seek heads point at."""
    file.seek(0)
    head = _until_cluster(file)
    at = head.find(SEGMENT) + len(SEGMENT)
    if at < len(SEGMENT) or at >= len(head):
        return 0
    start = at + 9 - head[at].bit_length()
    count, waiting, visited = head.count(SIMPLE_TAG), [head], set[int]()
    while waiting and len(visited) < MAX_ELEMENTS:
        for kind, position in _seek_positions(waiting.pop()):
            if start + position < len(head) or position in visited:
                continue
            visited.add(position)
            file.seek(start + position)
            content = file.read(_element_bytes(file.read(12)))
            if kind == TAGS:
                count += content.count(SIMPLE_TAG)
            else:
                waiting.append(content)
    return count


def _until_cluster(file: BinaryIO) -> bytes:
    head = bytearray()
    while len(head) < MAX_READ and (part := file.read(CHUNK)):
        seen = max(0, len(head) - len(CLUSTER) + 1)
        head += part
        if (end := head.find(CLUSTER, seen)) >= 0:
            return bytes(head[:end])
    return bytes(head)


def _element_bytes(head: bytes) -> int:
    """Return the bytes to read of an element, from its first 12: its content, within the limit."""
    if len(head) < 12 or not head[4]:
        return 0
    width = 9 - head[4].bit_length()
    mask = (1 << 7 * width) - 1
    size = int.from_bytes(head[4 : 4 + width], "big") & mask
    return min(MAX_READ, size)


def _seek_positions(content: bytes) -> Iterator[tuple[bytes, int]]:
    for found in SEEK.finditer(content):
        if found[1] in (TAGS, SEEK_HEAD):
            width = content[found.start(2) - 1] & 0x0F
            yield found[1], int.from_bytes(found[2][:width], "big")


def _flac_comments(file: BinaryIO) -> Iterator[bytes]:
    """Yield the beginnings of the comment blocks of a FLAC file, which is read from its byte 4."""
    for _ in range(MAX_ELEMENTS):
        head = file.read(4)
        if len(head) < 4:
            return
        size = int.from_bytes(head[1:], "big")
        if head[0] & 127 == COMMENT_BLOCK:
            yield file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)
        if head[0] & 128:
            return


def _id3_frames(file: BinaryIO, version: int) -> Iterator[int]:
    """Yield the positions of the frames of an ID3 tag, which is read from its byte 4."""
    head = file.read(6)
    size = sum((byte & 127) << shift for byte, shift in zip(head[2:], (21, 14, 7, 0), strict=False))
    data = file.read(min(size, MAX_READ))
    # Version 2: names of 3 bytes, sizes of 3. Later: of 4, with two bytes of flags; the sizes of
    # version 4 have 7 bits in a byte.
    name, flags, bits = (3, 0, 8) if version < 3 else (4, 2, 7 if version > 3 else 8)
    at = 0
    while at + 2 * name + flags <= len(data) and data[at]:
        yield at
        length = 0
        for byte in data[at + name : at + 2 * name]:
            length = length << bits | byte & (1 << bits) - 1
        at += 2 * name + flags + length


def _comments(data: bytes) -> int:
    """Return the number of comments that a list of them claims, after the name of the encoder."""
    vendor = int.from_bytes(data[:4], "little")
    claimed = int.from_bytes(data[4 + vendor : 8 + vendor], "little")
    # A comment takes six bytes at least: its length, and `x=`. FFmpeg ends where the data ends.
    return min(claimed, max(0, len(data) - 8 - vendor) // 6)
