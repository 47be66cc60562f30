"""A new container with a place for each stream of an old one: copies, and encoders for audio that
is made anew."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from avsync.media.writers.audio_encoder import AudioPlan, add_encoder, encoded, named_layout
from avsync.media.writers.avi_audio import AviAudio

# Streams that a new container may leave out where it has no place for them.
OPTIONAL = ("data", "attachment", "unknown")
# Microseconds by which a muxer lets streams lie apart before it stops waiting for one of them.
INTERLEAVE_US = 10_000_000
# Codecs whose packets are counted one by one in an AVI.
BLOCKLESS = ("aac", "ac3", "eac3", "dca", "mp2", "mp3", "mp3float")
TEMPLATE_PACKETS = 8
MP4 = ("mp4", "ipod", "mov")
# How H.264 and H.265 begin where they come from mp4 and Matroska, not from another AVI.
LENGTH_PREFIXED = b"\x01"
TS_SUBTITLES = ("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle")

Sounds = dict[int, AudioPlan]


class NewContainer(NamedTuple):
    """A container whose header is written; streams go by their index in the source.

    `copies` take packets as they are, `encoders` take new audio.
    """

    writing: OutputContainer
    copies: dict[int, Stream]
    encoders: dict[int, av.AudioStream]


def container_format(destination: Path) -> str:
    """FFmpeg's name of the container that the extension asks for; ValueError where there is none.

    Nothing is written.
    """
    with av.open(f"file:{destination}", "w") as unwritten:
        return unwritten.format.name


def fitting(
    reading: InputContainer, kind: str, sounds: Sounds | None
) -> tuple[list[int], list[str]]:
    """Which streams a container can hold, by their index, and in words those it cannot.

    Only data, fonts and the like may be left out; for other streams FFmpeg's error is raised.
    """
    everything = [stream.index for stream in reading.streams]
    if _fits(reading, kind, everything, sounds):
        return everything, []
    kept = [stream.index for stream in reading.streams if stream.type not in OPTIONAL]
    begin(reading, BytesIO(), kind, kept, sounds).writing.close()
    left_out = []
    for stream in reading.streams:
        if stream.type in OPTIONAL:
            if _fits(reading, kind, sorted([*kept, stream.index]), sounds):
                kept = sorted([*kept, stream.index])
            else:
                name = stream.metadata.get("filename") or stream.metadata.get("handler_name")
                words = f"{stream.type} (stream {stream.index})"
                left_out.append(f"{words}: {name}" if name else words)
    return kept, left_out


def begin(
    reading: InputContainer,
    where: Path | BytesIO,
    kind: str,
    wanted: Iterable[int],
    sounds: Sounds | None = None,
    spread_s: Fraction = Fraction(0),
) -> NewContainer:
    """Open a new file and writes its header.

    Args:
        reading: the source.
        where: the new file.
        kind: FFmpeg's name of the container.
        wanted: the streams to make a place for, by their index in the source.
        sounds: how audio is encoded anew; None where it is copied.
        spread_s: how far audio may lie from the frames it was stored with.
    """
    options = {
        "max_interleave_delta": str(INTERLEAVE_US + round(abs(spread_s) * 1_000_000)),
        # Edit lists of mp4 and mov, which move the audio, would else count in milliseconds.
        "movie_timescale": "90000",
    }
    writing = av.open(
        f"file:{where}" if isinstance(where, Path) else where,
        "w",
        format=kind,
        container_options=options,
        metadata_errors="surrogateescape",
    )
    try:
        copies, encoders = {}, {}
        for index in wanted:
            stream = reading.streams[index]
            made: Stream
            if sounds and index in sounds:
                made = encoders[index] = add_encoder(writing, sounds[index])
            else:
                made = copies[index] = _add(writing, stream)
            made.disposition = stream.disposition
            made.metadata.update(stream.metadata)
        writing.metadata.update(reading.metadata)
        writing.set_chapters(reading.chapters())
        writing.start_encoding()
    except BaseException:
        writing.close()
        raise
    return NewContainer(writing, copies, encoders)


def _fits(reading: InputContainer, kind: str, wanted: list[int], sounds: Sounds | None) -> bool:
    try:
        begin(reading, BytesIO(), kind, wanted, sounds).writing.close()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _add(writing: OutputContainer, stream: Stream) -> Stream:
    if stream.codec_context is None and stream.type not in OPTIONAL:
        raise ValueError(f"its {stream.type} stream (number {stream.index}) is of an unknown codec")
    _refuse(stream, writing.format.name)
    template = stream
    if writing.format.name == "avi" and stream.type == "audio":
        template = _without_block_size(stream)
    # `opaque` takes the codec as the reader knows it: some have no encoder to look up.
    copy = writing.add_stream_from_template(template, opaque=True)
    if isinstance(stream, av.AudioStream) and writing.format.name in MP4:
        cast(Any, copy.codec_context).layout = named_layout(stream.codec_context)
    if isinstance(stream, av.VideoStream) and writing.format.name == "avi":
        # An AVI counts frames: one unit of its clock is one of them.
        rate = stream.guessed_rate or stream.average_rate
        if rate:
            copy.time_base = 1 / rate
    return copy


def _refuse(stream: Stream, kind: str) -> None:
    """What FFmpeg would write and no player would find again."""
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    if kind == "mpegts" and stream.type == "subtitle" and codec not in TS_SUBTITLES:
        raise ValueError(f"it has no place for subtitles in {codec}")
    if kind == "mpegts" and stream.type == "attachment":
        raise ValueError("it has no place for attachments")
    extradata = (stream.codec_context.extradata if stream.codec_context else None) or b""
    if kind == "avi" and codec in ("h264", "hevc") and extradata.startswith(LENGTH_PREFIXED):
        raise ValueError(f"it cannot say when frames in {codec} are shown, .mkv and .mp4 can")


def _without_block_size(stream: Stream) -> Stream:
    """Return a template for the same codec that has forgotten the block size which an AVI gave it.

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


class EncodedAudio:
    """One audio of a new file.

    Args:
        new: the file, with an encoder for it.
        index: of the stream in the source that it takes the place of.
        plan: how it is encoded.
        blocks: the audio, `(C, n)` at the plan's rate.
        start_s: when it begins, on the source's clock.
    """

    def __init__(
        self,
        new: NewContainer,
        index: int,
        plan: AudioPlan,
        blocks: Iterable[np.ndarray],
        start_s: float,
    ) -> None:
        self.writing = new.writing
        stream = new.encoders[index]
        self.packets = encoded(stream, blocks, plan, Fraction(start_s))
        if new.writing.format.name == "avi":
            self.packets = _one_after_another(self.packets, stream)

    def write_until(self, time_s: Fraction | None) -> None:
        """Write packets up to one that is heard at `time_s` or later; None: to the end."""
        for packet in self.packets:
            self.writing.mux_one(packet)
            stamp = packet.dts if packet.dts is not None else packet.pts
            if time_s is not None and (stamp or 0) * packet.time_base >= time_s:
                return


def _one_after_another(packets: Iterator[av.Packet], stream: av.AudioStream) -> Iterator[av.Packet]:
    untimed = AviAudio(stream, Fraction(0))
    for packet in packets:
        for each in untimed.place(packet, Fraction(0)):
            each.stream = stream
            yield each
