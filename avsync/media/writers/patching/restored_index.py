"""Restore what FFmpeg's muxer does not write into the index of an MP4 or MOV file.

After a remux of one such file to another, the metadata, user data, sample descriptions, references
between tracks and codes of languages are those of the source again, and the index precedes the
media data if it did in the source. Metadata of another container is written under its own keys.
"""

import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from avsync.media.writers.patching.boxes import Box, index_extent, read_box
from avsync.media.writers.patching.chunk_offsets import put_index

# What describes the samples of a track and is written by the muxer.
WRITTEN = (b"tkhd", b"edts", b"mdia", b"tref", b"udta")
INDEX_WRITTEN = (b"mvhd", b"trak", b"mvex", b"iods", b"cmov", b"rmra", b"udta", b"free", b"skip")
MEDIA_HEADERS = (b"vmhd", b"smhd", b"hmhd", b"nmhd", b"gmhd", b"sthd")
# Layer, alternate group, volume, display matrix and size in a track header.
PRESENTATION_BYTES = 52
REFERENCE_BYTES = 4
UTF8 = 1
DESCRIPTION = (b"mdia", b"minf", b"stbl", b"stsd")


def restore_index(source: Path, partial: Path, copies: Mapping[int, bool]) -> None:
    """Restore the index of a remuxed MP4 or MOV file from that of its source.

    Args:
        source: the source, also an MP4 or MOV file.
        partial: the new file, with its index at the end, whose tracks have the IDs of the source's.
        copies: IDs of the tracks whose samples are those of the source, and whether they were
            written as data of an unknown kind.

    Raises:
        UnknownStructure: if either file has no usual index.
    """
    extent, front = index_extent(source)
    old, new = read_box(source, extent), read_box(partial, index_extent(partial)[0])
    former = {_track_id(track): track for track in old.all(b"trak")}
    tracks = {_track_id(track): track for track in new.all(b"trak")}
    for number in sorted(set(former) & set(tracks)):
        _restore_track(former[number], tracks[number], set(tracks))
        if number in copies:
            _restore_description(former[number], tracks[number], opaque=copies[number])
    _add_missing(old, new, INDEX_WRITTEN)
    _replace(old, new, b"udta")
    put_index(partial, new, front=front)


def read_track_languages(path: Path) -> dict[int, str]:
    """Return the BCP 47 languages of the tracks of an MP4 or MOV file that have any, by track ID.

    Raises:
        UnknownStructure: if the file has no usual index.
    """
    tracks = read_box(path, index_extent(path)[0]).all(b"trak")
    found = {_track_id(track): track.find(b"mdia", b"elng") for track in tracks}
    return {
        number: box.body[4:].split(b"\0")[0].decode("ascii", "ignore")
        for number, box in found.items()
        if box is not None
    }


def write_metadata(partial: Path, values: Mapping[str, str], languages: Sequence[str]) -> None:
    """Write what FFmpeg does not into an MP4 or MOV file.

    Source: QuickTime File Format, Metadata; ISO/IEC 14496-12, 8.4.6.

    Args:
        partial: the file, with its index at the end.
        values: metadata under arbitrary keys.
        languages: BCP 47 languages of the tracks, in order; empty for none.
    """
    moov = read_box(partial, index_extent(partial)[0])
    if values:
        moov.children.append(_metadata(values))
    for track, language in zip(moov.all(b"trak"), languages, strict=False):
        media = track.get(b"mdia")
        if language and media.find(b"elng") is None:
            at = media.children.index(media.get(b"mdhd")) + 1
            media.children.insert(at, Box(b"elng", bytes(4) + language.encode("ascii") + b"\0"))
    put_index(partial, moov, front=False)


def _metadata(values: Mapping[str, str]) -> Box:
    keys, items = b"", []
    for number, (key, value) in enumerate(values.items(), 1):
        name = key.encode("utf-8", "surrogateescape")
        keys += struct.pack(">I4s", 8 + len(name), b"mdta") + name
        text = struct.pack(">II", UTF8, 0) + value.encode("utf-8", "surrogateescape")
        items.append(Box(number.to_bytes(4, "big"), Box(b"data", text).to_bytes()))
    handler = Box(b"hdlr", bytes(8) + b"mdta" + bytes(13))
    names = Box(b"keys", struct.pack(">II", 0, len(values)) + keys)
    listed = Box(b"ilst", b"".join(item.to_bytes() for item in items))
    return Box(b"meta", b"".join(box.to_bytes() for box in (handler, names, listed)))


def _restore_track(old: Box, new: Box, tracks: Collection[int]) -> None:
    """Restore what does not depend on the samples of a track."""
    _add_missing(old, new, WRITTEN)
    _replace(old, new, b"udta")
    before, after = old.get(b"tkhd"), new.get(b"tkhd")
    after.body = after.body[:1] + before.body[1:4] + after.body[4:-PRESENTATION_BYTES]
    after.body += before.body[-PRESENTATION_BYTES:]
    _restore_language(old.get(b"mdia"), new.get(b"mdia"))
    references = _references(old, tracks)
    new.children = [box for box in new.children if box.kind != b"tref"]
    new.children[-1:-1] = references


def _restore_description(old: Box, new: Box, *, opaque: bool) -> None:
    """Restore the description of the samples, which are those of the source."""
    if opaque:
        new.get(b"mdia", b"hdlr").body = old.get(b"mdia", b"hdlr").body
        _take_media_header(old.get(b"mdia", b"minf"), new.get(b"mdia", b"minf"))
    elif old.get(b"mdia", b"hdlr").body[8:12] != b"vide":
        return
    before, after = old.get(*DESCRIPTION), new.get(*DESCRIPTION)
    # With more than one description, a table says which: it is not restored.
    single = before.body[4:8] == bytes([0, 0, 0, 1])
    if opaque or (single and before.body[12:16] == after.body[12:16]):
        after.body = before.body


def _add_missing(old: Box, new: Box, written: Sequence[bytes]) -> None:
    """Add the children that the muxer did not write."""
    kinds = {box.kind for box in new.children}
    new.children += [b for b in old.children if b.kind not in kinds and b.kind not in written]


def _replace(old: Box, new: Box, kind: bytes) -> None:
    """Replace the children of a type by those of the source, if it has any."""
    held = list(old.all(kind))
    if held:
        new.children = [box for box in new.children if box.kind != kind] + held


def _take_media_header(old: Box, new: Box) -> None:
    header = [box for box in old.children if box.kind in MEDIA_HEADERS]
    new.children = header + [box for box in new.children if box.kind not in MEDIA_HEADERS]


def _restore_language(old: Box, new: Box) -> None:
    before, after = old.get(b"mdhd"), new.get(b"mdhd")
    start, end = _language_at(before), _language_at(after)
    after.body = after.body[:end] + before.body[start : start + 2] + after.body[end + 2 :]
    extended = list(old.all(b"elng"))  # BCP 47, such as pt-BR.
    at = new.children.index(after) + 1
    new.children[at:at] = [box for box in extended if not new.find(b"elng")]


def _language_at(header: Box) -> int:
    return 32 if header.body[:1] == b"\1" else 20


def _references(old: Box, tracks: Collection[int]) -> list[Box]:
    """Return the references of a track to those that are in the new file."""
    held = old.find(b"tref")
    kept = b""
    at = 0
    while held is not None and at + 8 <= len(held.body):
        size, kind = struct.unpack_from(">I4s", held.body, at)
        if size < 8:
            break
        count = (min(size, len(held.body) - at) - 8) // REFERENCE_BYTES
        numbers = struct.unpack_from(f">{count}I", held.body, at + 8)
        if found := [number for number in numbers if number in tracks]:
            kept += Box(kind, struct.pack(f">{len(found)}I", *found)).to_bytes()
        at += size
    return [Box(b"tref", kept)] if kept else []


def _track_id(track: Box) -> int:
    header = track.get(b"tkhd")
    at = 20 if header.body[:1] == b"\1" else 12
    return int.from_bytes(header.body[at : at + 4], "big")
