"""Shift audio tracks of an MP4 or MOV file by their edit lists; all media data stays as it is.

An edit list (`elst`) maps the media of a track to the clock of the file. Audio is delayed by an
empty edit at its start, and brought forward by starting its first edit later in the media.
Source: ISO/IEC 14496-12, 8.6.6; QuickTime File Format, Edit List Atom.
"""

import struct
from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import NamedTuple

from avsync.media.writers.patching.boxes import (
    Box,
    Extent,
    UnknownStructure,
    index_extent,
    read_box,
    top_level_boxes,
)
from avsync.media.writers.patching.chunk_offsets import move_offsets, widen_offsets
from avsync.media.writers.patching.patched_copy import Patch, copy_with_patches

# Edits have the resolution of the movie's time scale, which is made at least this fine.
MIN_TIMESCALE = 48_000
NORMAL_RATE = 1 << 16
UNKNOWN = (1 << 32) - 1
# Structures with file offsets or times of their own that are not edited here.
UNEDITED = (b"mvex", b"cmov", b"rmra")


class Edit(NamedTuple):
    """An edit: `duration` in the movie's time scale, `start` in the track's (-1: empty), rate."""

    duration: int
    start: int
    rate: int = NORMAL_RATE


def shift_edit_lists(source: Path, partial: Path, shifts_s: Mapping[int, Fraction]) -> None:
    """Write a copy of an MP4 or MOV file with tracks shifted by their edit lists.

    Args:
        source: the file.
        partial: the new file.
        shifts_s: shifts in seconds by track ID, positive = later.

    Raises:
        UnknownStructure: if the file must be remuxed: it is fragmented, or its index is unusual.
    """
    copy_with_patches(source, partial, patches_of_edit_lists(source, shifts_s))


def patches_of_edit_lists(source: Path, shifts_s: Mapping[int, Fraction]) -> list[Patch]:
    """Return the changes to a file that shift its tracks, as for `shift_edit_lists`."""
    extent, _ = index_extent(source)
    moov = read_box(source, extent)
    tracks = _tracks(moov)
    if any(moov.find(kind) for kind in UNEDITED) or not set(shifts_s) <= set(tracks):
        raise UnknownStructure("the file is fragmented, or has a compressed index")
    longest = max(_field(track.get(b"tkhd"), "duration") for track in tracks.values())
    _refine_timescale(moov, tracks)
    for number, shift_s in shifts_s.items():
        if shift_s:
            _shift_track(moov, tracks[number], shift_s)
    lasts = max(_field(track.get(b"tkhd"), "duration") for track in tracks.values())
    if lasts != longest:
        _set_field(moov.get(b"mvhd"), "duration", lasts)
    return _replace_index(source, extent, moov)


def _tracks(moov: Box) -> dict[int, Box]:
    found = [(_field(trak.get(b"tkhd"), "track"), trak) for trak in moov.all(b"trak")]
    if len(dict(found)) != len(found):
        raise UnknownStructure("two tracks have the same ID")
    return dict(found)


def _shift_track(moov: Box, track: Box, shift_s: Fraction) -> None:
    scale = _field(moov.get(b"mvhd"), "timescale")
    ratio = Fraction(_field(track.get(b"mdia", b"mdhd"), "timescale"), scale)
    edits = _edits(track, ratio)
    ticks = round(shift_s * scale)
    edits = [Edit(ticks, -1), *edits] if ticks > 0 else _cut(edits, -ticks, ratio)
    if len(edits) > 1 and edits[0].start == edits[1].start == -1:
        edits = [Edit(edits[0].duration + edits[1].duration, -1), *edits[2:]]
    _write_edits(track, edits)
    if all(edit.duration for edit in edits):  # 0 stands for the rest of the media.
        _set_field(track.get(b"tkhd"), "duration", sum(edit.duration for edit in edits))


def _cut(edits: list[Edit], ticks: int, ratio: Fraction) -> list[Edit]:
    """Return the edits without their first `ticks` of the movie's time scale."""
    for at, edit in enumerate(edits):
        if edit.duration > ticks or not edit.duration:
            start = edit.start
            if start >= 0:
                start += round(ticks * ratio * Fraction(edit.rate, NORMAL_RATE))
            return [Edit(max(edit.duration - ticks, 0), start, edit.rate), *edits[at + 1 :]]
        ticks -= edit.duration
    raise UnknownStructure("nothing of the audio would remain")


def _edits(track: Box, ratio: Fraction) -> list[Edit]:
    box = track.find(b"edts", b"elst")
    if box is None:
        length = _field(track.get(b"mdia", b"mdhd"), "duration")
        if length >= UNKNOWN or not length:
            raise UnknownStructure("the length of a track is unknown")
        return [Edit(ceil(length / ratio), 0)]
    layout = struct.Struct(">Qqi" if box.body[0] else ">Iii")
    (count,) = struct.unpack_from(">I", box.body, 4)
    if len(box.body) < 8 + count * layout.size or not count:
        raise UnknownStructure("an edit list is cut off")
    return [Edit(*layout.unpack_from(box.body, 8 + at * layout.size)) for at in range(count)]


def _write_edits(track: Box, edits: list[Edit]) -> None:
    wide = any(max(edit.duration, edit.start) >= 1 << 31 for edit in edits)
    layout = struct.Struct(">Qqi" if wide else ">Iii")
    body = struct.pack(">B3xI", wide, len(edits)) + b"".join(layout.pack(*edit) for edit in edits)
    held = track.find(b"edts")
    if held is None:
        held = Box(b"edts")
        track.children.insert(track.children.index(track.get(b"tkhd")) + 1, held)
    rest = [child for child in held.children if child.kind != b"elst"]
    held.children = [Box(b"elst", body), *rest]


def _refine_timescale(moov: Box, tracks: Mapping[int, Box]) -> None:
    """Multiply the movie's time scale, and all durations in it, if it is coarse."""
    header = moov.get(b"mvhd")
    scale = _field(header, "timescale")
    if not scale:
        raise UnknownStructure("the time scale is 0")
    factor = ceil(MIN_TIMESCALE / scale)
    durations = [(header, _field(header, "duration"))]
    durations += [(t.get(b"tkhd"), _field(t.get(b"tkhd"), "duration")) for t in tracks.values()]
    known = [(box, value) for box, value in durations if value < UNKNOWN]
    # Half of the range remains for the shift.
    if factor == 1 or any(value * factor >= UNKNOWN // 2 for _, value in known):
        return
    _set_field(header, "timescale", scale * factor)
    _scale_preview(header, factor)
    for box, value in known:
        _set_field(box, "duration", value * factor)
    for track in tracks.values():
        if track.find(b"edts", b"elst"):
            edits = _edits(track, Fraction(1))
            _write_edits(track, [e._replace(duration=e.duration * factor) for e in edits])


def _scale_preview(header: Box, factor: int) -> None:
    """Multiply QuickTime's times of the preview, poster, selection and playback position."""
    at = len(header.body) - 28
    times = [min(time * factor, UNKNOWN) for time in struct.unpack_from(">6I", header.body, at)]
    header.body = header.body[:at] + struct.pack(">6I", *times) + header.body[at + 24 :]


# Offsets of fields and whether they grow to 64 bits, by version of the box.
FIELDS = {
    (b"mvhd", "timescale"): (12, 20, False),
    (b"mvhd", "duration"): (16, 24, True),
    (b"mdhd", "timescale"): (12, 20, False),
    (b"mdhd", "duration"): (16, 24, True),
    (b"tkhd", "track"): (12, 20, False),
    (b"tkhd", "duration"): (20, 28, True),
}


def _layout(box: Box, name: str) -> tuple[str, int]:
    narrow, wide, grows = FIELDS[box.kind, name]
    version = box.body[0] if box.body else 0
    code = ">Q" if version and grows else ">I"
    at = wide if version else narrow
    if version > 1 or len(box.body) < at + struct.calcsize(code):
        raise UnknownStructure(f"{box.kind!r} is cut off or of version {version}")
    return code, at


def _field(box: Box, name: str) -> int:
    code, at = _layout(box, name)
    (value,) = struct.unpack_from(code, box.body, at)
    return int(value)


def _set_field(box: Box, name: str, value: int) -> None:
    code, at = _layout(box, name)
    if value >= 1 << 8 * struct.calcsize(code):
        raise UnknownStructure(f"{value} does not fit into {box.kind!r}")
    body = bytearray(box.body)
    struct.pack_into(code, body, at, value)
    box.body = bytes(body)


def _replace_index(source: Path, extent: Extent, moov: Box) -> list[Patch]:
    """Return the patches that put a changed index in the position of the old one."""
    boxes = top_level_boxes(source)
    after = [box for box in boxes if box.start >= extent.end]
    grown = len(moov.to_bytes()) - (extent.end - extent.start)
    end = extent.end
    if grown and any(box.kind == b"mdat" for box in after):
        # Free space behind the index is taken from or added to, so that nothing else moves.
        room = after[0].end - after[0].start if after[0].kind in (b"free", b"skip") else 0
        if room - grown >= 8 or room == grown:
            end, filler = after[0].end, room - grown
            free = Box(b"free", bytes(filler - 8)).to_bytes() if filler else b""
            return [Patch(extent.start, end, moov.to_bytes() + free)]
        if any(b"iloc" in read_box(source, box).body for box in boxes if box.kind == b"meta"):
            raise UnknownStructure("items outside the index may be at absolute offsets")
        if source.stat().st_size + 2 * len(moov.to_bytes()) > UNKNOWN:
            widen_offsets(moov)
            grown = len(moov.to_bytes()) - (extent.end - extent.start)
        move_offsets(moov, extent.end, grown)
    return [Patch(extent.start, end, moov.to_bytes())]
