"""Read and write the BCP 47 languages (such as pt-BR) of Matroska tracks, which FFmpeg ignores.

They are added to the tracks of a file that FFmpeg wrote, at the cost of the free space behind its
list of positions, so that no cluster moves. Source: RFC 9559, 5.1.4; RFC 8794.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer

from avsync.media.writers.patching.boxes import UnknownStructure
from avsync.media.writers.patching.restored_index import read_track_languages

SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
TRACKS, TRACK, LANGUAGE = 0x1654AE6B, 0xAE, 0x22B59D
VOID, CRC = 0xEC, 0xBF
# Head of a file before its first cluster; covers and fonts are among it.
HEAD_BYTES = 1 << 26


class Element(NamedTuple):
    """An element of EBML from `start` to `end`, with its content from `body`."""

    kind: int
    start: int
    body: int
    end: int


def read_languages(path: Path) -> list[str]:
    """Return the BCP 47 language of each track, empty where a track has none."""
    head = _head(path)
    tracks = next((e for e in _top(head) if e.kind == TRACKS), None)
    fields = _inside(head, tracks) if tracks else ()
    return [_language(head, track) for track in fields if track.kind == TRACK]


def languages_by_stream(reading: InputContainer) -> dict[int, str]:
    """Return the BCP 47 languages with a region or script of a file's streams, by stream index."""
    path = Path(reading.name.removeprefix("file:"))
    named: dict[int, str] = {}
    with suppress(UnknownStructure):
        if reading.format.name.startswith("matroska"):
            named = dict(enumerate(read_languages(path)))
        elif "mp4" in reading.format.name:
            held = read_track_languages(path)
            named = {stream.index: held.get(stream.id, "") for stream in reading.streams}
    # Without a subtag, the code of three letters that FFmpeg keeps says as much.
    return {index: language for index, language in named.items() if "-" in language}


def write_languages(path: Path, languages: Sequence[str]) -> bool:
    """Add BCP 47 languages to the tracks of a file, in order; empty for none.

    Returns:
        Whether there was room for them; else the file is as it was.
    """
    head = _head(path)
    top = {element.kind: element for element in _top(head)}
    if not {SEEK_HEAD, VOID, TRACKS} <= set(top) or top[VOID].start != top[SEEK_HEAD].end:
        return False
    void, tracks = top[VOID], top[TRACKS]
    content = _with_languages(head, tracks, languages)
    new = _element(TRACKS, _checksum(content) + content)
    grown = len(new) - (tracks.end - tracks.start)
    left = void.end - void.start - grown
    if left < 2:
        return False
    segment = next(e for e in _elements(head, 0, len(head)) if e.kind == SEGMENT)
    positions = _moved_positions(head, top[SEEK_HEAD], void.end - segment.body, tracks.end, grown)
    filler = bytes([VOID, 0x80 | left - 2]) + bytes(left - 2) if left < 0x80 else _long_void(left)
    with path.open("r+b") as file:
        file.seek(top[SEEK_HEAD].start)
        file.write(positions + filler + head[void.end : tracks.start] + new)
    return True


def _long_void(size: int) -> bytes:
    """Return an element of free space whose size takes eight bytes."""
    return bytes([VOID, 1]) + (size - 9).to_bytes(7, "big") + bytes(size - 9)


def _with_languages(head: bytes, tracks: Element, languages: Sequence[str]) -> bytes:
    content, number = b"", 0
    for track in _inside(head, tracks):
        if track.kind == TRACK:
            body = head[track.body : track.end]
            language = languages[number] if number < len(languages) else ""
            if language and not _language(head, track):
                body += _element(LANGUAGE, language.encode("ascii", "ignore"))
            content += _element(TRACK, body)
            number += 1
        elif track.kind != CRC:
            content += head[track.start : track.end]
    return content


def _moved_positions(head: bytes, seek_head: Element, low: int, end: int, by: int) -> bytes:
    """Return the list of positions with those of the elements from `low` to `end` moved back."""
    new = bytearray(head[seek_head.start : seek_head.end])
    segment = next(e for e in _elements(head, 0, len(head)) if e.kind == SEGMENT)
    for seek in _inside(head, seek_head):
        for field in _inside(head, seek) if seek.kind == SEEK else ():
            value = int.from_bytes(head[field.body : field.end], "big")
            if field.kind == SEEK_POSITION and low <= value < end - segment.body:
                at = field.body - seek_head.start
                moved = (value - by).to_bytes(field.end - field.body, "big")
                new[at : at + len(moved)] = moved
    first = next(iter(_inside(head, seek_head)), None)
    if first is not None and first.kind == CRC:
        at = first.end - seek_head.start
        new[first.start - seek_head.start : at] = _checksum(bytes(new[at:]))
    return bytes(new)


def _language(head: bytes, track: Element) -> str:
    found = [field for field in _inside(head, track) if field.kind == LANGUAGE]
    return head[found[0].body : found[0].end].decode("ascii", "ignore") if found else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _top(head: bytes) -> Iterator[Element]:
    """Yield the elements of the segment before its first cluster."""
    for element in _elements(head, 0, len(head)):
        if element.kind == SEGMENT:
            for child in _elements(head, element.body, min(element.end, len(head))):
                if child.kind == CLUSTER or child.end > len(head):
                    return
                yield child


def _inside(head: bytes, element: Element) -> Iterator[Element]:
    return _elements(head, element.body, element.end)


def _elements(head: bytes, at: int, end: int) -> Iterator[Element]:
    while at < end:
        kind, body = _number(head, at, keep_marker=True)
        size, body = _number(head, body, keep_marker=False)
        if kind < 0 or size < -1:
            return
        stop = body + size if size >= 0 else end  # All ones: of unknown size.
        yield Element(kind, at, body, stop)
        at = stop


def _number(head: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """Return a number of variable length and where it ends; -1 if unknown, -2 if damaged."""
    first = head[at] if at < len(head) else 0
    length = 9 - first.bit_length()
    if not first or at + length > len(head):
        return -2, at
    value = int.from_bytes(head[at : at + length], "big")
    if not keep_marker:
        value -= 1 << 7 * length
        value = -1 if value == (1 << 7 * length) - 1 else value
    return value, at + length


def _element(kind: int, content: bytes) -> bytes:
    length = next(n for n in range(1, 9) if len(content) < (1 << 7 * n) - 1)
    size = (len(content) | 1 << 7 * length).to_bytes(length, "big")
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + size + content


def _checksum(content: bytes) -> bytes:
    return _element(CRC, zlib.crc32(content).to_bytes(4, "little"))
