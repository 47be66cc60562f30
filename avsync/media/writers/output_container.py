"""Open an output container with a stream for each stream of a source: copied, or re-encoded audio.

Container quirks handled here: edit-list resolution of MP4 and MOV, frame clock and block sizes of
AVI, subtitles and attachments that MPEG-TS cannot hold, H.264 and H.265 in AVI.
"""

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

from avsync.media.writers.audio_encoder import AudioPlan, add_encoder, channel_layout, encode_blocks
from avsync.media.writers.avi_audio import AviAudio

# Stream types that are left out if the container does not support them.
OPTIONAL = ("data", "attachment", "unknown")
# Largest interleaving distance of streams before the muxer stops waiting, in microseconds.
INTERLEAVE_US = 10_000_000
# Codecs with one packet per AVI block.
BLOCKLESS = ("aac", "ac3", "eac3", "dca", "mp2", "mp3", "mp3float")
TEMPLATE_PACKETS = 8
MP4 = ("mp4", "ipod", "mov")
# First extradata byte of H.264 and H.265 from MP4 and Matroska, in contrast to AVI.
LENGTH_PREFIXED = b"\x01"
TS_SUBTITLES = ("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle")

AudioPlans = dict[int, AudioPlan]


class OutputFile(NamedTuple):
    """An open output container with its header written.

    Args:
        writing: the container.
        copies: streams that take copied packets, by index in the source.
        encoders: streams that take re-encoded audio, by index in the source.
    """

    writing: OutputContainer
    copies: dict[int, Stream]
    encoders: dict[int, av.AudioStream]


def container_format(destination: Path) -> str:
    """Return FFmpeg's name of the container for a file extension; nothing is written.

    Raises:
        ValueError: if there is none.
    """
    with av.open(f"file:{destination}", "w") as unwritten:
        return unwritten.format.name


def supported_streams(
    reading: InputContainer, kind: str, plans: AudioPlans | None
) -> tuple[list[int], list[str]]:
    """Return the indices of the streams that a container can hold, and descriptions of the others.

    Only data, fonts and the like may be left out; for other streams FFmpeg's error is raised.
    """
    everything = [stream.index for stream in reading.streams]
    if _fits(reading, kind, everything, plans):
        return everything, []
    kept = [stream.index for stream in reading.streams if stream.type not in OPTIONAL]
    open_output(reading, BytesIO(), kind, kept, plans).writing.close()
    left_out = []
    for stream in reading.streams:
        if stream.type in OPTIONAL:
            if _fits(reading, kind, sorted([*kept, stream.index]), plans):
                kept = sorted([*kept, stream.index])
            else:
                name = stream.metadata.get("filename") or stream.metadata.get("handler_name")
                words = f"{stream.type} (stream {stream.index})"
                left_out.append(f"{words}: {name}" if name else words)
    return kept, left_out


def open_output(
    reading: InputContainer,
    where: Path | BytesIO,
    kind: str,
    wanted: Iterable[int],
    plans: AudioPlans | None = None,
    spread_s: Fraction = Fraction(0),
) -> OutputFile:
    """Open an output file and write its header.

    Args:
        reading: the source.
        where: the new file, or a buffer.
        kind: FFmpeg's name of the container.
        wanted: indices of the source streams to include.
        plans: how audio is re-encoded; None to copy it.
        spread_s: how far audio is shifted from the frames it was interleaved with.
    """
    options = {
        "max_interleave_delta": str(INTERLEAVE_US + round(abs(spread_s) * 1_000_000)),
        # Otherwise edit lists of MP4 and MOV, which shift the audio, have millisecond resolution.
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
            if plans and index in plans:
                made = encoders[index] = add_encoder(writing, plans[index])
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
    return OutputFile(writing, copies, encoders)


def _fits(reading: InputContainer, kind: str, wanted: list[int], plans: AudioPlans | None) -> bool:
    try:
        open_output(reading, BytesIO(), kind, wanted, plans).writing.close()
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
    # `opaque` copies the codec parameters: some codecs have no encoder to look up.
    copy = writing.add_stream_from_template(template, opaque=True)
    if isinstance(stream, av.AudioStream) and writing.format.name in MP4:
        cast(Any, copy.codec_context).layout = channel_layout(stream.codec_context)
    if isinstance(stream, av.VideoStream) and writing.format.name == "avi":
        # The clock of an AVI counts frames.
        rate = stream.guessed_rate or stream.average_rate
        if rate:
            copy.time_base = 1 / rate
    return copy


def _refuse(stream: Stream, kind: str) -> None:
    """Refuse streams that FFmpeg would write but no player would read."""
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    if kind == "mpegts" and stream.type == "subtitle" and codec not in TS_SUBTITLES:
        raise ValueError(f"it does not support subtitles in {codec}")
    if kind == "mpegts" and stream.type == "attachment":
        raise ValueError("it does not support attachments")
    extradata = (stream.codec_context.extradata if stream.codec_context else None) or b""
    if kind == "avi" and codec in ("h264", "hevc") and extradata.startswith(LENGTH_PREFIXED):
        raise ValueError(f"it cannot store the times of {codec} frames, .mkv and .mp4 can")


def _without_block_size(stream: Stream) -> Stream:
    """Return a stream template of the same codec without the block size set by an AVI.

    With a block size, the muxer counts packets of these codecs as blocks of that size, and time is
    wrong. PyAV cannot unset it, but a Matroska header has no field for it.
    """
    if stream.codec_context.name not in BLOCKLESS:
        return stream
    header = BytesIO()
    with av.open(stream.container.name) as again, av.open(header, "w", "matroska") as container:
        copy = container.add_stream_from_template(stream, opaque=True)
        # With some packets, because the duration of an AAC packet is known from its content only.
        for packet in islice(again.demux(again.streams[stream.index]), TEMPLATE_PACKETS):
            if packet.dts is not None:
                packet.stream = copy
                container.mux_one(packet)
    header.seek(0)
    return av.open(header).streams[0]


class EncodedAudio:
    """Encoder of one audio stream of an output file.

    Args:
        new: the file, with an encoder stream for it.
        index: index of the source stream that it replaces.
        plan: how it is encoded.
        blocks: the audio, `(C, n)` at the plan's rate.
        start_s: start time on the source's clock.
    """

    def __init__(
        self,
        new: OutputFile,
        index: int,
        plan: AudioPlan,
        blocks: Iterable[np.ndarray],
        start_s: float,
    ) -> None:
        self.writing = new.writing
        stream = new.encoders[index]
        self.packets = encode_blocks(stream, blocks, plan, Fraction(start_s))
        if new.writing.format.name == "avi":
            self.packets = _packed_for_avi(self.packets, stream)

    def write_until(self, time_s: Fraction | None) -> None:
        """Write packets up to the first at `time_s` or later; None writes all."""
        for packet in self.packets:
            self.writing.mux_one(packet)
            stamp = packet.dts if packet.dts is not None else packet.pts
            if time_s is not None and (stamp or 0) * packet.time_base >= time_s:
                return


def _packed_for_avi(packets: Iterator[av.Packet], stream: av.AudioStream) -> Iterator[av.Packet]:
    avi_audio = AviAudio(stream, Fraction(0))
    for packet in packets:
        for part in avi_audio.schedule(packet, Fraction(0)):
            part.stream = stream
            yield part
