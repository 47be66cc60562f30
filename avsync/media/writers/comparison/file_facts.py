"""Read what a media file says about itself: its streams, their side data and packets, its tags."""

import os
import re
import struct
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.stream import Disposition, Stream

from avsync.media.container import decoded, open_media, packets
from avsync.media.writers.patching.boxes import (
    Box,
    UnknownStructure,
    index_extent,
    read_box,
)
from avsync.media.writers.patching.matroska_languages import languages_by_stream

# Side data that a container holds; other types are read from the packets, which are compared.
SIDE_DATA = {
    "DISPLAYMATRIX": "rotation",
    "SPHERICAL": "spherical projection",
    "STEREO3D": "stereoscopic layout",
    "MASTERING_DISPLAY_METADATA": "HDR mastering display",
    "CONTENT_LIGHT_LEVEL": "HDR content light level",
    "AMBIENT_VIEWING_ENVIRONMENT": "HDR ambient viewing environment",
    "ICC_PROFILE": "ICC profile",
}
# FourCCs of the records of Dolby Vision: boxes in MP4, BlockAddIDType in Matroska.
DOLBY_VISION = re.compile(rb"dv[cvw]C")
MATROSKA_CLUSTER = b"\x1f\x43\xb6\x75"
HEADER_BYTES = 1 << 20
# A damaged start may need a few packets until the first frame.
FIRST_PACKETS = 50


class StreamFacts(NamedTuple):
    """What is known of one stream.

    Args:
        number: its index in the file.
        kind: its type; `attached_pic` for cover art, `chapters` for a track of their titles.
        codec: FFmpeg's name of the codec; the codec tag, if FFmpeg does not know it.
        tag: the codec tag.
        tags: metadata, with names in lower case.
        disposition: dispositions.
        look: properties of video and audio, by name.
        side_data: contents by name, for video.
        data: contents of an attachment.
        packets: number of packets that are not empty, None if not counted.
        size: bytes of all packets.
    """

    number: int
    kind: str
    codec: str
    tag: str
    tags: dict[str, str]
    disposition: Disposition
    look: dict[str, Any]
    side_data: dict[str, bytes]
    data: bytes
    packets: int | None = None
    size: int = 0


class FileFacts(NamedTuple):
    """What is known of a file.

    Args:
        family: FFmpeg's names of the container.
        streams: the streams.
        tags: metadata, with names in lower case.
        chapters: start and end in seconds and title of each chapter.
        front_loaded: whether the index precedes the data, in MP4 and MOV.
        dolby_vision: whether there is a record of Dolby Vision.
        programs: number of programs of a transport stream.
    """

    family: str
    streams: tuple[StreamFacts, ...]
    tags: dict[str, str]
    chapters: tuple[tuple[float, float, str], ...]
    front_loaded: bool
    dolby_vision: bool
    programs: int = 1


def read_facts(path: str | os.PathLike[str], *, count_packets: bool = True) -> FileFacts:
    """Read the facts of a file.

    Args:
        path: the file.
        count_packets: whether to read the file to its end to count its packets.

    Raises:
        UnreadableMedia: if it is not a media file.
    """
    counts = _count(path) if count_packets else {}
    none = (0, 0) if count_packets else (None, 0)
    with open_media(path) as reading:
        titles = _chapter_tracks(Path(path), reading.format.name)
        streams = tuple(
            _stream(s, *counts.get(s.index, none), titles=s.id in titles) for s in reading.streams
        )
        chapters = tuple(
            (
                float(c["start"] * (c["time_base"] or 0)),
                float(c["end"] * (c["time_base"] or 0)),
                c["metadata"].get("title", ""),
            )
            for c in reading.chapters()
        )
        family, tags = reading.format.name, _lower(reading.metadata)
        named = {index: {"language": name} for index, name in languages_by_stream(reading).items()}
        streams = tuple(s._replace(tags=s.tags | named.get(s.number, {})) for s in streams)
    side_data = _side_data(path)
    front, dolby = _index_facts(Path(path), family)
    return FileFacts(
        family,
        tuple(s._replace(side_data=side_data.get(s.number, {})) for s in streams),
        tags,
        chapters,
        front,
        dolby,
        _programs(Path(path)) if family == "mpegts" else 1,
    )


def _stream(stream: Stream, count: int | None, size: int, *, titles: bool) -> StreamFacts:
    context = stream.codec_context
    tag = ""
    with suppress(AttributeError, UnicodeDecodeError):
        tag = context.codec_tag.strip("\0 ")
    named = context.codec.canonical_name if context else getattr(stream, "name", None)
    cover = stream.disposition & Disposition.attached_pic
    return StreamFacts(
        number=stream.index,
        kind="attached_pic" if cover else "chapters" if titles else stream.type,
        codec=named or tag or "unknown",
        tag=tag,
        tags=_lower(stream.metadata),
        disposition=stream.disposition,
        look=_look(stream),
        side_data={},
        data=stream.data if isinstance(stream, av.stream.AttachmentStream) else b"",
        packets=count,
        size=size,
    )


def _look(stream: Stream) -> dict[str, Any]:
    context: Any = stream.codec_context
    if context is None:
        return {}
    if isinstance(stream, av.AudioStream):
        return {
            "sample rate": context.sample_rate,
            "number of channels": context.channels,
        }
    if not isinstance(stream, av.VideoStream):
        return {}
    ratio = stream.sample_aspect_ratio
    return {
        "frame size": (context.width, context.height),
        "sample aspect ratio": ratio if ratio and ratio != 1 else None,
        "colour primaries": _known(context.color_primaries),
        "colour transfer": _known(context.color_trc),
        "colour matrix": _known(context.colorspace),
        "colour range": int(context.color_range) or None,
        "field order": getattr(context, "field_order", None),
    }


def _known(value: Any) -> int | None:
    return int(value) if int(value) != 2 else None  # ISO/IEC 23091-2: 2 is unspecified.


def _lower(tags: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in tags.items()}


def _count(path: str | os.PathLike[str]) -> dict[int, tuple[int, int]]:
    """Return the number and the bytes of the packets of each stream."""
    counts: dict[int, tuple[int, int]] = {}
    with open_media(path) as reading:
        for packet in packets(reading, *reading.streams):
            if packet is not None and packet.size:
                number, size = counts.get(packet.stream_index, (0, 0))
                counts[packet.stream_index] = (number + 1, size + packet.size)
    return counts


def _side_data(path: str | os.PathLike[str]) -> dict[int, dict[str, bytes]]:
    """Return the side data of the first frame of each video stream, which a container may hold.

    A container holds none for attached images, and a hundred of these would each be decoded.
    """
    found = {}
    with open_media(path) as reading:
        indices = [
            s.index
            for s in reading.streams.video
            if s.codec_context is not None and not s.disposition & Disposition.attached_pic
        ]
    for index in indices:
        with open_media(path) as reading:
            stream = reading.streams[index]
            for frame in islice(decoded(packets(reading, stream), stream), 1):
                held = [frame.side_data[at] for at in range(len(frame.side_data))]
                found[index] = {
                    SIDE_DATA[data.type.name]: _comparable(data.type.name, bytes(data))
                    for data in held
                    if data.type.name in SIDE_DATA
                }
    return found


def _comparable(kind: str, content: bytes) -> bytes:
    """Return side data as it can be compared: of a display matrix without its translation."""
    if kind != "DISPLAYMATRIX" or len(content) < 20:
        return content
    a, b, _, c, d = struct.unpack_from("=5i", content)
    return bytes(f"{a} {b} {c} {d}", "ascii")


def _chapter_tracks(path: Path, family: str) -> set[int]:
    """Return the IDs of tracks that hold titles of chapters, in MP4 and MOV."""
    found: set[int] = set()
    with suppress(UnknownStructure, struct.error):
        moov = read_box(path, index_extent(path)[0]) if "mp4" in family else Box(b"moov")
        for held in moov.all(b"trak", b"tref"):
            at = 0
            while at + 8 <= len(held.body):
                size, kind = struct.unpack_from(">I4s", held.body, at)
                if kind == b"chap":
                    found |= set(struct.unpack_from(f">{(size - 8) // 4}I", held.body, at + 8))
                at += max(size, 8)
    return found


def _index_facts(path: Path, family: str) -> tuple[bool, bool]:
    """Return whether the index comes first, and whether there is a record of Dolby Vision."""
    if "matroska" in family:
        with path.open("rb") as file:
            # Before the first cluster: any four bytes occur somewhere in a megabyte of video.
            header = file.read(HEADER_BYTES).partition(MATROSKA_CLUSTER)[0]
        return False, bool(DOLBY_VISION.search(header))
    if "mp4" not in family:
        return False, False
    try:
        extent, front = index_extent(path)
        descriptions = read_box(path, extent).all(b"trak", b"mdia", b"minf", b"stbl", b"stsd")
        return front, any(_holds_dolby_vision(box) for box in descriptions)
    except UnknownStructure:
        return False, False


def _programs(path: Path) -> int:
    """Return the number of programs in the first program association table of a file.

    Source: ISO/IEC 13818-1, 2.4.4.3.
    """
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    # A packet of PID 0 in which a section of table 0 begins.
    found = re.search(rb"\x47\x40\x00[\x10-\x1f]\x00\x00[\xb0-\xbf]", head)
    if found is None:
        return 1
    at = found.start() + 5
    length = (head[at + 1] & 0x0F) << 8 | head[at + 2]
    numbers = head[at + 8 : at + 3 + length - 4]
    return sum(bool(numbers[n] << 8 | numbers[n + 1]) for n in range(0, len(numbers) - 1, 4))


def _holds_dolby_vision(descriptions: Box) -> bool:
    return bool(DOLBY_VISION.search(descriptions.body))
