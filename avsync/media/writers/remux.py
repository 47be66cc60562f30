"""Moving the audio of a file against its frames without re-encoding either."""

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from avsync.media.container import open_media, packets
from avsync.media.writers.atomic_output import becoming, plain_errors, refuse_destination
from avsync.media.writers.avi_audio import AviAudio
from avsync.media.writers.output_container import NewContainer, begin, container_format, fitting

MAX_BACK_S = 1.0
# So many packets may wait for the first one of their stream that says when it is decoded.
UNDATED_PACKETS = 32
MAX_SHIFT_MS = 3_600_000.0
# Packets of audio from before the file's beginning that go along so that the first one after it
# decodes whole: where an edit list hides them, and where they make all else begin later.
HIDDEN_LEAD_IN, HEARD_LEAD_IN = 4, 1
HIDING = ("mp4", "mov", "ipod")
# Of these every packet stands alone.
NO_LEAD_IN = ("pcm_", "flac", "alac")
PCM = re.compile(r"pcm_(?:[fsu](?P<bits>\d+)(?:[bl]e)?|alaw|mulaw)")


def shift_audio(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    shift_ms: float,
    *,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Copy a media file with its audio moved by `shift_ms` against its frames, + = later.

    The packets of all streams are copied as they are, with metadata, chapters, dispositions and
    rotation; every audio track moves. Audio that would come before the file's beginning is left
    out, save for the few packets that the first one needs to decode whole. Audio lies within 1 ms
    in mp4, mov, mkv, webm, mpg and ts. An AVI has no timestamps: silent packets come before the
    audio, or its first ones are left out, which is exact for PCM and within half a packet (16 ms)
    for compressed audio.

    The extension of `destination` names its container, which may be another than the source's:
    RuntimeError where that cannot hold the source's codecs. The file appears when it is whole.

    Args:
        source: the file to copy, never written to; UnreadableMedia where it is no media file.
        destination: the new file; ValueError where it is the source itself, also through a link.
        shift_ms: milliseconds, at most an hour.
        overwrite: replace an existing destination, which else is a FileExistsError.

    Returns what the new container has no place for, in words: timecodes, fonts and the like.
    """
    source, destination = Path(source), Path(destination)
    refuse_destination(source, destination, overwrite=overwrite)
    with becoming(destination) as partial:
        return write_shifted(source, partial, destination, shift_ms)


def write_shifted(
    source: Path, partial: Path, destination: Path, shift_ms: float
) -> tuple[str, ...]:
    """Write the file of `shift_audio` to `partial`; `destination` is named in errors."""
    if not abs(shift_ms) <= MAX_SHIFT_MS:
        raise ValueError(f"shift_ms must lie within an hour, got {shift_ms}")
    shift_s = Fraction(shift_ms) / 1000
    with open_media(source) as reading, plain_errors(source, destination):
        kind = container_format(partial)
        wanted, left_out = fitting(reading, kind, None)
        new = begin(reading, partial, kind, wanted, spread_s=shift_s)
        with new.writing:
            for packet in copied(reading, new, shift_s):
                new.writing.mux_one(packet)
    return tuple(left_out)


def copied(
    reading: InputContainer, new: NewContainer, shift_s: Fraction = Fraction(0)
) -> Iterator[av.Packet]:
    """Yield the packets of the streams that a new container has copies of, ready for it.

    Streams that encoders were made for are left out. Audio comes `shift_s` later.
    """
    kind = new.writing.format.name
    copies = new.copies
    last_dts: dict[int, int] = {}
    zero_s = min(_first_dts_s(reading), Fraction(0)) if kind == "avi" else Fraction(0)
    sounds = [s for s in reading.streams.audio if s.index in copies]
    untimed = {s.index: AviAudio(s, zero_s) for s in sounds if kind == "avi"}
    openings = {s.index: _Opening(s, _start_s(reading), kind) for s in sounds}
    for packet in _dated(packets(reading, *(reading.streams[index] for index in copies))):
        index = packet.stream_index
        copy = copies[index]
        if index in untimed:
            ready = list(untimed[index].place(packet, shift_s))
        elif index in openings:
            _move(packet, copy, shift_s)
            ready = openings[index].pass_on(packet)
        else:
            _move(packet, copy, Fraction(0))
            ready = [packet]
        for each in ready:
            if index not in untimed:
                _keep_order(each, last_dts.get(index))
                last_dts[index] = each.dts or 0
            each.stream = copy
            yield each


def _dated(found: Iterable[av.Packet | None]) -> Iterator[av.Packet]:
    """Packets with decoding times; in Matroska the first frames of a stream may have none."""
    waiting: dict[int, list[av.Packet]] = {}
    last: dict[int, int] = {}
    for packet in found:
        if packet is None:
            continue
        index, step = packet.stream_index, packet.duration or 1
        if packet.size and packet.stream.disposition & Disposition.attached_pic:
            packet.pts = packet.dts = 0  # A cover has no time of its own.
        if packet.dts is None and (not packet.size or packet.pts is None):
            continue
        if packet.dts is None and index in last:
            packet.dts = min(last[index] + step, packet.pts or 0)
        if packet.dts is None:
            waiting.setdefault(index, []).append(packet)
            if len(waiting[index]) < UNDATED_PACKETS:
                continue
            packet.dts = min(each.pts or 0 for each in waiting[index]) + step * UNDATED_PACKETS
            waiting[index].pop()
        # Counted back from the first one that has a time.
        early = waiting.pop(index, [])
        for place, each in enumerate(early):
            each.dts = packet.dts - step * (len(early) - place)
            yield each
        last[index] = packet.dts
        yield packet
    for early in waiting.values():  # A stream too short for any time.
        for each in early:
            each.dts = each.pts
            yield each


class _Opening:
    """Leaves out the packets of an audio that would be heard before the file begins.

    Args:
        stream: the audio in the source.
        start_s: when the file begins, on its clock.
        kind: FFmpeg's name of the new container.
    """

    def __init__(self, stream: Stream, start_s: Fraction, kind: str) -> None:
        self.start_s = start_s
        lead_in = HIDDEN_LEAD_IN if kind in HIDING else HEARD_LEAD_IN
        name = stream.codec_context.name if stream.codec_context else ""
        self.early: deque[av.Packet] = deque(maxlen=0 if name.startswith(NO_LEAD_IN) else lead_in)
        self.rate = self.width = 0
        if isinstance(stream, av.AudioStream) and (pcm := PCM.fullmatch(name)):
            self.rate = stream.codec_context.sample_rate
            self.width = stream.codec_context.channels * int(pcm["bits"] or 8) // 8
        self.begun = False

    def pass_on(self, packet: av.Packet) -> list[av.Packet]:
        """Return the packets to write, now that this one has come."""
        if self.begun:
            return [packet]
        stamp = packet.pts if packet.pts is not None else packet.dts or 0
        if (stamp + (packet.duration or 0)) * packet.time_base <= self.start_s:
            self.early.append(packet)
            return []
        self.begun = True
        return [*self.early, self._cut(packet) if self.rate else packet]

    def _cut(self, packet: av.Packet) -> av.Packet:
        """Return a packet of PCM without the samples from before the file's beginning."""
        if packet.pts is None or not packet.duration or packet.time_base is None:
            return packet
        units = ceil(self.start_s / packet.time_base) - packet.pts
        cut = round(units * packet.time_base * self.rate) * self.width
        if not 0 < cut < packet.size:
            return packet
        rest = av.Packet(bytes(packet)[cut:])
        rest.time_base, rest.is_keyframe = packet.time_base, True
        rest.pts = rest.dts = packet.pts + units
        rest.duration = max(packet.duration - units, 0)
        return rest


def _start_s(reading: InputContainer) -> Fraction:
    """When the file begins on its clock: with the first thing that is to be seen or heard."""
    starts = [
        stream.start_time * (stream.time_base or Fraction(0))
        for stream in (*reading.streams.video, *reading.streams.audio)
        if stream.start_time is not None and not stream.disposition & Disposition.attached_pic
    ]
    return min(starts, default=Fraction(0))


def _move(packet: av.Packet, copy: Stream, shift_s: Fraction) -> None:
    base = copy.time_base or packet.time_base
    # In the copy's units, which may be finer: an AVI counts whole packets.
    units, shift = packet.time_base / base, shift_s / base
    if packet.pts is not None:
        packet.pts = round(packet.pts * units + shift)
    packet.dts = round((packet.dts or 0) * units + shift)
    packet.duration = round((packet.duration or 0) * units)
    packet.time_base = base


def _keep_order(packet: av.Packet, last_dts: int | None) -> None:
    """Muxers take times that rise only; those that fall back a little are lifted, as players do."""
    if last_dts is None or packet.dts is None or packet.dts > last_dts:
        return
    back_s = float((last_dts - packet.dts) * packet.time_base)
    if back_s > MAX_BACK_S:
        raise ValueError(f"its timestamps are damaged, they jump back by {back_s:.1f} s")
    packet.dts = last_dts + 1
    if packet.pts is not None:
        packet.pts = max(packet.pts, packet.dts)


def _first_dts_s(reading: InputContainer) -> Fraction:
    """When the decoder gets the first frame, seconds: where the clock of an AVI begins."""
    with (
        open_media(reading.name.removeprefix("file:")) as again,
        suppress(av.error.FFmpegError, OSError),
    ):
        for stream in again.streams.video[:1]:
            for packet in again.demux(stream):
                if packet.dts is not None and packet.time_base is not None:
                    return packet.dts * packet.time_base
    return Fraction(0)
