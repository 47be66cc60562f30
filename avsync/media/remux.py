"""Moving the sound of a file against its pictures without re-encoding either."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from avsync.media.container import first_line, open_media, packets
from avsync.media.untimed_sound import UntimedSound

# Streams that a new container may leave out where it has no place for them.
OPTIONAL = ("data", "attachment", "unknown")
# Microseconds by which a muxer lets streams lie apart before it stops waiting for one of them.
INTERLEAVE_US = 10_000_000
# Codecs whose packets are counted one by one in an AVI.
BLOCKLESS = ("aac", "ac3", "eac3", "dca", "mp2", "mp3", "mp3float")
TEMPLATE_PACKETS = 8
MAX_BACK_S = 1.0
MAX_SHIFT_MS = 3_600_000.0


def shift_audio(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    shift_ms: float,
    *,
    overwrite: bool = False,
) -> None:
    """Copies a media file with its sound moved by `shift_ms` against its pictures, + = later.

    The packets of all streams are copied as they are, with metadata, chapters, dispositions and
    rotation; every sound track moves. Timecodes, fonts and the like are kept where the new
    container takes them. Sound lies within 1 ms in mp4, mov, mkv, webm and mpg. An AVI has no
    timestamps: silent packets come before the sound, or its first ones are left out, which is
    exact for PCM and within half a packet (16 ms) for compressed sound. In mkv, webm and mpg, sound
    that would begin before zero makes all else begin later.

    The extension of `destination` names its container, which may be another than the source's:
    RuntimeError where that cannot hold the source's codecs. The file appears when it is whole.

    Args:
        source: the file to copy, never written to; UnreadableMedia where it is no media file.
        destination: the new file; ValueError where it is the source itself, also through a link.
        shift_ms: milliseconds, at most an hour.
        overwrite: replace an existing destination, which else is a FileExistsError.
    """
    if not abs(shift_ms) <= MAX_SHIFT_MS:
        raise ValueError(f"shift_ms must lie within an hour, got {shift_ms}")
    source, destination = Path(source), Path(destination)
    refuse_destination(source, destination, overwrite=overwrite)
    with open_media(source) as reading, _becoming(destination) as partial:
        try:
            _copy(reading, partial, Fraction(shift_ms) / 1000, _first_dts_s(source))
        except (av.error.FFmpegError, ValueError) as error:
            kind = destination.suffix or "a file without extension"
            cause = f"{source.name} cannot be copied into {kind}: {first_line(error)}"
            raise RuntimeError(cause) from error


def refuse_destination(source: Path, destination: Path, *, overwrite: bool = False) -> None:
    """Raises the error of a destination that must not or cannot be written; else does nothing."""
    if source.exists() and destination.exists() and source.samefile(destination):
        raise ValueError(f"destination must not be the source itself, got {destination}")
    if destination.exists() and not overwrite:
        raise FileExistsError(f"{destination} exists already and is not overwritten")
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"the folder {destination.parent} does not exist")


@contextmanager
def _becoming(destination: Path) -> Iterator[Path]:
    """A name beside `destination` that takes its place if the block ends well, and else goes."""
    # The muxer goes by the extension, so it comes last.
    token = secrets.token_hex(4)
    partial = destination.with_name(f".{destination.stem}.{token}{destination.suffix}")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


def _copy(reading: InputContainer, partial: Path, shift_s: Fraction, video_dts_s: Fraction) -> None:
    try:
        writing, copies = _begin(reading, partial, shift_s, ())
    except (av.error.FFmpegError, ValueError):
        writing, copies = _begin(reading, partial, shift_s, OPTIONAL)
    with writing:
        untimed: dict[int, UntimedSound] = {}
        last_dts: dict[int, int] = {}
        if writing.format.name == "avi":
            sounds = reading.streams.audio
            zero_s = min(video_dts_s, Fraction(0))
            untimed = {sound.index: UntimedSound(sound, zero_s) for sound in sounds}
        for packet in packets(reading, *(reading.streams[index] for index in copies)):
            if packet is None:
                continue
            if packet.size and packet.stream.disposition & Disposition.attached_pic:
                packet.pts = packet.dts = 0  # A cover has no time of its own.
            if packet.dts is None:
                continue
            index, copy = packet.stream_index, copies[packet.stream_index]
            if index in untimed:
                moved = list(untimed[index].place(packet, shift_s))
            else:
                _move(packet, copy, shift_s if copy.type == "audio" else Fraction(0))
                _keep_order(packet, last_dts.get(index))
                last_dts[index] = packet.dts
                moved = [packet]
            for each in moved:
                each.stream = copy
                writing.mux_one(each)


def _begin(
    reading: InputContainer, partial: Path, shift_s: Fraction, without: tuple[str, ...]
) -> tuple[OutputContainer, dict[int, Stream]]:
    """Opens the new file and writes its header; the copies of streams by index in the source."""
    options = {
        "max_interleave_delta": str(INTERLEAVE_US + round(abs(shift_s) * 1_000_000)),
        # Edit lists of mp4 and mov, which move the sound, would else count in milliseconds.
        "movie_timescale": "90000",
    }
    writing = av.open(
        f"file:{partial}", "w", container_options=options, metadata_errors="surrogateescape"
    )
    try:
        copies = {}
        for stream in reading.streams:
            if stream.type not in without:
                copies[stream.index] = _add(writing, stream)
        writing.metadata.update(reading.metadata)
        writing.set_chapters(reading.chapters())
        writing.start_encoding()
    except BaseException:
        writing.close()
        raise
    return writing, copies


def _add(writing: OutputContainer, stream: Stream) -> Stream:
    if stream.codec_context is None and stream.type not in OPTIONAL:
        raise ValueError(f"its {stream.type} stream (number {stream.index}) is of an unknown codec")
    template = stream
    if writing.format.name == "avi" and stream.type == "audio":
        template = _without_block_size(stream)
    # `opaque` takes the codec as the reader knows it: some have no encoder to look up.
    copy = writing.add_stream_from_template(template, opaque=True)
    copy.disposition = stream.disposition
    copy.metadata.update(stream.metadata)
    if isinstance(stream, av.VideoStream) and writing.format.name == "avi":
        # An AVI counts pictures: one unit of its clock is one of them.
        rate = stream.guessed_rate or stream.average_rate
        if rate:
            copy.time_base = 1 / rate
    return copy


def _without_block_size(stream: Stream) -> Stream:
    """A template for the same codec that has forgotten the block size which an AVI gave it.

    With one, the muxer takes packets of these codecs for blocks of that size and miscounts time.
    PyAV cannot unset it, but a Matroska header has no field for it.
    """
    if stream.codec_context.name not in BLOCKLESS:
        return stream
    header = BytesIO()
    with av.open(stream.container.name) as again, av.open(header, "w", "matroska") as container:
        copy = container.add_stream_from_template(stream, opaque=True)
        # Some packets go along: the length of an AAC packet is known from its content only.
        for packet in islice(again.demux(again.streams[stream.index]), TEMPLATE_PACKETS):
            if packet.dts is not None:
                packet.stream = copy
                container.mux_one(packet)
    header.seek(0)
    return av.open(header).streams[0]


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


def _first_dts_s(source: Path) -> Fraction:
    """When the decoder gets the first picture, seconds: where the clock of an AVI begins."""
    with open_media(source) as container, suppress(av.error.FFmpegError, OSError):
        for stream in container.streams.video[:1]:
            for packet in container.demux(stream):
                if packet.dts is not None and packet.time_base is not None:
                    return packet.dts * packet.time_base
    return Fraction(0)
