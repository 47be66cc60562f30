"""Times of packets, and the ends of streams and of the file by the headers."""

import os
import re
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Stream

# FFmpeg and mkvmerge write the durations of streams into Matroska, which has no field for them.
DURATION_TAG = re.compile(r"(\d+):(\d\d):(\d\d\.\d+)")
# Boxes of an MP4 or MOV file that are looked at: usual files have fewer than ten.
MAX_BOXES = 10_000


def decoding_stamp(packet: av.Packet) -> int | None:
    """Return the decoding time of a packet, or its presentation time, in its time base."""
    return packet.dts if packet.dts is not None else packet.pts


def presentation_stamp(packet: av.Packet) -> int:
    """Return the presentation time of a packet, or its decoding time, in its time base."""
    return (packet.pts if packet.pts is not None else packet.dts) or 0


def move(packet: av.Packet, offset_s: Fraction, base: Fraction) -> None:
    """Add an offset to the times of a packet."""
    if offset_s:
        ticks = round(offset_s / base)
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks


def header_end_s(container: InputContainer, stream: Stream) -> float:
    """Return the end of a stream by the header, in seconds on the file's clock; 0 if unknown."""
    duration = stream.duration or 0
    if container.format.name == "avi":
        # FFmpeg shortens the duration of a truncated AVI, but not the header's number of frames.
        duration = max(duration, stream.frames)
    if duration and stream.time_base:
        return float(((stream.start_time or 0) + duration) * stream.time_base)
    if parts := DURATION_TAG.fullmatch(stream.metadata.get("DURATION", "")):
        return 3600.0 * int(parts[1]) + 60 * int(parts[2]) + float(parts[3])
    return ((container.start_time or 0) + (container.duration or 0)) / av.time_base


def bytes_after_movie(path: str | os.PathLike[str]) -> int:
    """Return how many bytes of an MP4 or MOV file belong to a second one, joined to its end.

    FFmpeg and players skip it.
    """
    size, at, second_at = os.stat(path).st_size, 0, 0
    begun = False
    with open(path, "rb") as file:
        for _ in range(MAX_BOXES):
            file.seek(at)
            header = file.read(16)
            kind, length = header[4:8], int.from_bytes(header[:4])
            if begun and not second_at and kind in (b"ftyp", b"moov"):
                second_at = at
            if kind == b"moov" and begun:
                return size - second_at
            begun = begun or kind == b"moov"
            # A length of 1 stands for one of 64 bits.
            at += int.from_bytes(header[8:16]) if length == 1 else length
            if length != 1 and length < 8:  # To the end of the file, or damaged.
                break
    return 0
