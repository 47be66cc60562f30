"""Changes to media files that ffmpeg cannot make: tracks, records and tables of devices."""

import struct
from collections.abc import Callable
from pathlib import Path

from avsync.media.writers.patching.boxes import Box, index_extent, read_box

TABLE = (b"mdia", b"minf", b"stbl", b"stsd")
POLYNOMIAL = 0x04C11DB7
PRIVATE_PID = 0x102


def patch_index(path: Path, change: Callable[[Box], None]) -> None:
    """Change the index of an MP4 or MOV file, which must lie behind the data or keep its size."""
    extent, front = index_extent(path)
    content, moov = path.read_bytes(), read_box(path, extent)
    change(moov)
    index = moov.to_bytes()
    if front and len(index) != extent.end - extent.start:
        raise ValueError("the index must lie behind the data")
    path.write_bytes(content[: extent.start] + index + content[extent.end :])


def rotate(path: Path) -> None:
    """Set a display matrix of 90 degrees."""

    def change(moov: Box) -> None:
        header = next(moov.all(b"trak")).get(b"tkhd")
        matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 240 << 16, 0, 1 << 30)
        header.body = header.body[:-44] + matrix + header.body[-8:]

    patch_index(path, change)


def slow_motion(path: Path) -> None:
    """Give the audio and the video edits as of a trimmed recording: from 0.5 s on, in two parts."""

    def change(moov: Box) -> None:
        scale = struct.unpack_from(">I", moov.get(b"mvhd").body, 12)[0]
        for track in moov.all(b"trak"):
            media = struct.unpack_from(">I", track.get(b"mdia", b"mdhd").body, 12)[0]
            parts = [(0.5, 2.5), (3.0, 2.5)]
            edits = b"".join(
                struct.pack(">IiI", round(length * scale), round(start * media), 1 << 16)
                for start, length in parts
            )
            track.get(b"edts").children = [Box(b"elst", struct.pack(">II", 0, 2) + edits)]

    patch_index(path, change)


def data_track(tag: bytes, handler: bytes) -> Callable[[Path], None]:
    """Return a patch that makes the last track one of data with a codec tag."""

    def change(moov: Box) -> None:
        track = list(moov.all(b"trak"))[-1]
        content = Box(tag, bytes(6) + b"\0\1" + Box(b"keys", b"some set-up").to_bytes())
        track.get(*TABLE).body = struct.pack(">II", 0, 1) + content.to_bytes()
        named = track.get(b"mdia", b"hdlr")
        named.body = named.body[:8] + handler + named.body[12:]

    return lambda path: patch_index(path, change)


def unknown_audio(path: Path) -> None:
    """Make the second audio track one of a codec that FFmpeg does not know."""

    def change(moov: Box) -> None:
        table = list(moov.all(b"trak"))[2].get(*TABLE)
        table.body = table.body.replace(b"mp4a", b"apac").replace(b"esds", b"dapa")

    patch_index(path, change)


def add_to_description(moov: Box, *boxes: Box) -> None:
    """Add boxes to the sample description of the video."""
    table = next(moov.all(b"trak")).get(*TABLE)
    content = table.body[8:] + b"".join(box.to_bytes() for box in boxes)
    table.body = table.body[:8] + struct.pack(">I", len(content)) + content[4:]


def dolby_vision(path: Path) -> None:
    """Add a configuration of Dolby Vision, profile 8.4."""
    record = bytes([1, 0, 8 << 1, 5 << 3 | 0b101, 0x40]) + bytes(19)
    patch_index(path, lambda moov: add_to_description(moov, Box(b"dvvC", record)))


def spherical(path: Path) -> None:
    """Add the boxes of a stereoscopic equirectangular video (Spherical Video V2)."""
    projection = Box(b"prhd", bytes(16)).to_bytes() + Box(b"equi", bytes(20)).to_bytes()
    parts = Box(b"svhd", bytes(4) + b"maker\0").to_bytes() + Box(b"proj", projection).to_bytes()
    stereo = Box(b"st3d", bytes(4) + b"\1")
    patch_index(path, lambda moov: add_to_description(moov, stereo, Box(b"sv3d", parts)))


def private_stream(kind: int, descriptor: str = "") -> Callable[[Path], None]:
    """Return a patch that declares the last audio stream of a transport stream as another one.

    Args:
        kind: the stream type: 0x86 for SCTE-35, 6 for subtitles and teletext.
        descriptor: descriptor of the stream, in hexadecimal.
    """

    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        for at in range(0, len(content), 188):
            number = (content[at + 1] & 0x1F) << 8 | content[at + 2]
            start = content[at + 1] & 0x40
            if number == PRIVATE_PID and kind == 0x86:
                # A null command in a section, the rest stuffing.
                section = bytes.fromhex("00fc301100000000000000fff00000000000000000")
                content[at + 3] = 0x10 | content[at + 3] & 0x0F
                content[at + 4 : at + 188] = (section if start else b"").ljust(184, b"\xff")
            elif start and number not in (0, 0x11, 0x100, 0x101) and content[at + 5] == 2:
                table = content[at + 5 : at + 188]
                content[at + 5 : at + 188] = _declared(table, kind, bytes.fromhex(descriptor))
        path.write_bytes(content)

    return change


def _declared(table: bytearray, kind: int, descriptor: bytes) -> bytes:
    """Return a program map with another type and descriptor of a PID, and its new checksum."""
    length = (table[1] & 0x0F) << 8 | table[2]
    at = 12 + ((table[10] & 0x0F) << 8 | table[11])
    streams = b""
    while at < 3 + length - 4:
        size = (table[at + 3] & 0x0F) << 8 | table[at + 4]
        stream = table[at : at + 5 + size]
        if (stream[1] & 0x1F) << 8 | stream[2] == PRIVATE_PID:
            info = struct.pack(">H", 0xF000 | len(descriptor)) + descriptor
            stream = bytearray([kind, *stream[1:3]]) + info
        streams += stream
        at += 5 + size
    head = bytes(table[: 12 + ((table[10] & 0x0F) << 8 | table[11])])
    size = len(head) - 3 + len(streams) + 4
    head = head[:1] + struct.pack(">H", 0xB000 | size) + head[3:]
    section = head + streams
    section += struct.pack(">I", crc32_mpeg(section))
    return section.ljust(len(table), b"\xff")[: len(table)]


def crc32_mpeg(data: bytes) -> int:
    """Return the checksum of a section: ISO/IEC 13818-1, annex A."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet << 24
        for _ in range(8):
            value = (value << 1 ^ POLYNOMIAL if value & 1 << 31 else value << 1) & 0xFFFFFFFF
    return value
