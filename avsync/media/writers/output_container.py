"""Open an output container with a stream for each stream of a source: copied, or re-encoded audio.

Container quirks handled here: edit-list resolution of MP4 and MOV, frame clock and block sizes of
AVI, subtitles and attachments that MPEG-TS cannot hold, H.264 and H.265 in AVI.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from avsync.media.container import ffmpeg_message, open_media
from avsync.media.writers.audio_encoder import AudioPlan, add_encoder, channel_layout
from avsync.media.writers.patching.matroska_languages import languages_by_stream, write_languages
from avsync.media.writers.patching.restored_index import restore_index, write_metadata
from avsync.media.writers.patching.shift import ISO_BASE_MEDIA

# Stream types that may have no codec that FFmpeg knows.
OPTIONAL = ("data", "attachment", "unknown")
# Largest interleaving distance of streams before the muxer stops waiting, in microseconds.
INTERLEAVE_US = 10_000_000
# Codecs with one packet per AVI block.
BLOCKLESS = ("aac", "ac3", "eac3", "dca", "mp2", "mp3", "mp3float")
TEMPLATE_PACKETS = 8
MP4 = ("mp4", "ipod", "mov")
MATROSKA = ("matroska", "webm")
# First extradata byte of H.264 and H.265 from MP4 and Matroska, in contrast to AVI.
LENGTH_PREFIXED = b"\x01"
TS_SUBTITLES = ("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle")
# Written by the muxer itself.
BRANDS = ("major_brand", "minor_version", "compatible_brands")
# Containers that one file holds and that store times; FFmpeg also writes playlists and images.
WRITTEN = (
    *ISO_BASE_MEDIA,
    *("matroska", "webm", "avi", "mpeg", "vob", "svcd", "vcd", "dvd", "mpegts", "flv", "mxf"),
    *("asf", "ogg", "nut", "wtv", "gxf"),
)

AudioPlans = dict[int, AudioPlan]


class OutputFile(NamedTuple):
    """An open output container with its header written.

    Args:
        writing: the container.
        copies: streams that take copied packets, by index in the source.
        encoders: streams that take re-encoded audio, by index in the source.
        opaque: copied streams whose codec the muxer does not know, by index in the source.
    """

    writing: OutputContainer
    copies: dict[int, Stream]
    encoders: dict[int, av.AudioStream]
    opaque: frozenset[int] = frozenset()


def container_format(destination: Path) -> str:
    """Return FFmpeg's name of the container for a file extension; nothing is written.

    Raises:
        ValueError: if there is none, or it is not one file with times.
    """
    with av.open(f"file:{destination}", "w") as unwritten:
        name = unwritten.format.name
    if name not in WRITTEN:
        raise ValueError(
            f"{name} is no single file with times; write .mp4, .mov, .mkv, .webm, .ts, .mpg, .avi "
            "or .mxf"
        )
    return name


def supported_streams(
    reading: InputContainer,
    kind: str,
    plans: AudioPlans | None,
    excluded: Mapping[int, str] | None = None,
) -> tuple[list[int], dict[int, str]]:
    """Return the indices of the streams that a container can hold, and why not the others.

    Args:
        reading: the source.
        kind: FFmpeg's name of the container.
        plans: how audio is re-encoded; None to copy it.
        excluded: why streams are left out in any case, by index.
    """
    causes = dict(excluded or {})
    streams = [stream for stream in reading.streams if stream.index not in causes]
    everything = [stream.index for stream in streams]
    if not _cause(reading, kind, everything, plans):
        return everything, causes
    kept: list[int] = []
    # Video and audio first: a header of data alone may be refused.
    shown = [stream for stream in streams if stream.type in ("video", "audio")]
    for stream in (*shown, *(s for s in streams if s not in shown)):
        cause = _cause(reading, kind, sorted([*kept, stream.index]), plans)
        if cause:
            causes[stream.index] = cause
        else:
            kept = sorted([*kept, stream.index])
    return kept, causes


@contextmanager
def output_file(
    reading: InputContainer,
    where: Path,
    kind: str,
    wanted: Iterable[int],
    plans: AudioPlans | None = None,
    spread_s: Fraction = Fraction(0),
) -> Iterator[OutputFile]:
    """Open an output file as `open_output` does, close it after the block, and complete it.

    What FFmpeg's muxer does not write into the index of MP4 and MOV is added.
    """
    new = open_output(reading, where, kind, wanted, plans, spread_s)
    with new.writing:
        yield new
    source = Path(reading.name.removeprefix("file:"))
    if kind in ISO_BASE_MEDIA and is_iso_base_media(reading):
        copies = {reading.streams[i].id: i in new.opaque for i in new.copies}
        restore_index(source, where, copies)
        return
    named = languages_by_stream(reading)
    languages = [named.get(index, "") for index in sorted((*new.copies, *new.encoders))]
    if kind in MATROSKA and any(languages):
        write_languages(where, languages)
    elif kind in ISO_BASE_MEDIA:
        with av.open(f"file:{where}", metadata_errors="surrogateescape") as written:
            held = {key.lower() for key in written.metadata}
            languages = languages if len(written.streams) >= len(languages) else []
        missing = {k: v for k, v in _metadata(reading).items() if k.lower() not in held}
        if missing or any(languages):
            write_metadata(where, missing, languages)


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
    restored = kind in ISO_BASE_MEDIA and is_iso_base_media(reading)
    writing = av.open(
        f"file:{where}" if isinstance(where, Path) else where,
        "w",
        format=kind,
        container_options=_options(kind, restored, spread_s),
        metadata_errors="surrogateescape",
    )
    try:
        copies, encoders, opaque = {}, {}, set()
        for index in wanted:
            stream = reading.streams[index]
            made: Stream
            if plans and index in plans:
                made = encoders[index] = add_encoder(writing, plans[index])
            elif restored and _is_opaque(stream):
                made = copies[index] = _add_opaque(writing, stream)
                opaque.add(index)
            else:
                made = copies[index] = _add(writing, stream)
            made.disposition = stream.disposition
            made.metadata.update(stream.metadata)
            if restored or kind == reading.format.name == "mpegts":
                made.id = stream.id
        writing.metadata.update(_metadata(reading) if not restored else reading.metadata)
        if not restored:  # The index of the source names its own chapters.
            writing.set_chapters(reading.chapters())
        writing.start_encoding()
    except BaseException:
        writing.close()
        raise
    return OutputFile(writing, copies, encoders, frozenset(opaque))


def is_iso_base_media(reading: InputContainer) -> bool:
    """Whether a file is an MP4, MOV or the like."""
    return "mp4" in reading.format.name.split(",")


def _options(kind: str, restored: bool, spread_s: Fraction) -> dict[str, str]:
    options = {
        "max_interleave_delta": str(INTERLEAVE_US + round(abs(spread_s) * 1_000_000)),
        # Otherwise edit lists of MP4 and MOV, which shift the audio, have millisecond resolution.
        "movie_timescale": "90000",
        # The boxes of Dolby Vision and of spherical video are no part of the MP4 standard.
        "strict": "unofficial",
    }
    if restored and kind in ISO_BASE_MEDIA:
        # A timecode track is copied, and tracks keep their IDs.
        options |= {"write_tmcd": "0", "use_stream_ids_as_track_ids": "1"}
    return options


def _metadata(reading: InputContainer) -> dict[str, str]:
    """Return the metadata of a file, with the timecode of a track that may be left out."""
    streams = sorted(reading.streams, key=lambda stream: stream.type == "data")
    timecodes = [s.metadata["timecode"] for s in streams if "timecode" in s.metadata]
    held = {k: v for k, v in reading.metadata.items() if k.lower() not in BRANDS}
    return {"timecode": timecodes[0], **held} if timecodes else held


def _is_opaque(stream: Stream) -> bool:
    """Whether a track is copied as data of an unknown kind, and described as in the source."""
    return stream.codec_context is None or stream.type not in ("video", "audio")


def _add_opaque(writing: OutputContainer, stream: Stream) -> Stream:
    """Add a track of data of an unknown kind, for packets of any stream."""
    # The muxers of all MP4 and MOV files know this kind, if it comes from a template.
    held = BytesIO()
    with av.open(held, "w", format="mp4") as container:
        data = container.add_mux_stream("bin_data")
        packet = av.Packet(b"\0")
        packet.stream, packet.pts, packet.dts = data, 0, 0
        container.mux_one(packet)
    held.seek(0)
    made = writing.add_stream_from_template(av.open(held).streams[0])
    made.metadata.clear()
    made.time_base = stream.time_base
    return made


def _cause(
    reading: InputContainer, kind: str, wanted: list[int], plans: AudioPlans | None
) -> str | None:
    """Return why a container cannot hold streams; None if it can."""
    try:
        open_output(reading, BytesIO(), kind, wanted, plans).writing.close()
    except (av.error.FFmpegError, ValueError) as error:
        return ffmpeg_message(error)
    return None


def _add(writing: OutputContainer, stream: Stream) -> Stream:
    if stream.codec_context is None and stream.type not in OPTIONAL:
        raise ValueError(f"its {stream.type} stream (number {stream.index}) is of an unknown codec")
    kind = writing.format.name
    _refuse(stream, kind)
    template = stream
    if kind == "avi" and stream.type == "audio":
        template = _without_block_size(stream)
    # `opaque` copies the codec parameters: some codecs have no encoder to look up.
    copy = writing.add_stream_from_template(template, opaque=True)
    if tag := _codec_tag(stream, kind):
        copy.codec_context.codec_tag = tag
    if isinstance(stream, av.AudioStream) and kind in MP4:
        cast(Any, copy.codec_context).layout = channel_layout(stream.codec_context)
    if isinstance(stream, av.VideoStream) and (ratio := stream.sample_aspect_ratio):
        # The template has the ratio of the codec, which that of the container overrides.
        cast(Any, copy.codec_context).sample_aspect_ratio = ratio
    if isinstance(stream, av.VideoStream) and kind == "avi":
        # The clock of an AVI counts frames.
        rate = stream.guessed_rate or stream.average_rate
        if rate:
            copy.time_base = 1 / rate
    return copy


def _codec_tag(stream: Stream, kind: str) -> str | None:
    """Return the codec tag to keep, if the new container knows it; None for the muxer's choice."""
    if stream.codec_context is None or stream.disposition & Disposition.attached_pic:
        return None
    iso = kind in ISO_BASE_MEDIA
    source = cast(InputContainer, stream.container)
    same_family = is_iso_base_media(source) if iso else kind == source.format.name == "avi"
    if same_family:
        try:
            tag = stream.codec_context.codec_tag
        except UnicodeDecodeError:  # A number, not letters.
            return None
    elif iso and stream.codec_context.name == "hevc":
        tag = "hvc1"  # Players of Apple refuse the muxer's choice, hev1.
    else:
        return None
    try:
        with av.open(BytesIO(), "w", format=kind) as attempt:
            copy = attempt.add_stream_from_template(stream, opaque=True)
            copy.codec_context.codec_tag = tag
            attempt.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return None
    return tag if tag.strip("\0") else None


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
    path = stream.container.name.removeprefix("file:")
    with open_media(path) as again, av.open(header, "w", "matroska") as container:
        copy = container.add_stream_from_template(stream, opaque=True)
        # With some packets, because the duration of an AAC packet is known from its content only.
        for packet in islice(again.demux(again.streams[stream.index]), TEMPLATE_PACKETS):
            if packet.dts is not None:
                packet.stream = copy
                container.mux_one(packet)
    header.seek(0)
    return av.open(header).streams[0]
