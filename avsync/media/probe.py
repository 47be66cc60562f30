"""Read the properties of a media file from its header, first packets and first frame."""

import os
from itertools import islice
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from avsync.media.audio_runs import is_valid_audio
from avsync.media.container import (
    MAX_LENGTH_S,
    audio_stream,
    decoded,
    motion_video_streams,
    open_media,
    packets,
    video_stream,
)
from avsync.media.container import UnreadableMedia as UnreadableMedia
from avsync.media.rgb_converter import Rotation, pixel_ratio
from avsync.media.timestamps.continuous_clock import ContinuousClock
from avsync.media.timestamps.ts_programs import stream_programs
from avsync.media.video_reader import decode_video_frames
from avsync.media.writers.audio_encoder import channel_layout

# Packets read for the mean frame rate, about ten seconds of video.
RATE_PACKETS = 300
# Packets come in decoding order: the last ones may be displayed after packets not yet read.
REORDER_PACKETS = 16


class AudioStream(NamedTuple):
    """Properties of an audio stream; times are seconds on the file's clock.

    Args:
        index: position among the audio streams.
        codec: FFmpeg's name of the decoder, "unknown" without one.
        sample_rate: samples per second, by the header.
        channels: number of channels, by the header.
        start_s: start time.
        duration_s: duration.
        stream: index in the file.
        language: language tag.
        title: title tag.
        dispositions: FFmpeg's names of the flags that are set: default, dub, original, ...
        layout: channel layout, the usual one if the file does not say: "mono", "stereo", "5.1", ...
        programme: number of the MPEG-TS program that the stream belongs to.
    """

    index: int  # type: ignore[assignment]
    codec: str
    sample_rate: int
    channels: int
    start_s: float | None
    duration_s: float | None
    stream: int = 0
    language: str | None = None
    title: str | None = None
    dispositions: tuple[str, ...] = ()
    layout: str = ""
    programme: int | None = None


class VideoStream(NamedTuple):
    """Properties of a video stream.

    Args:
        index: position among the video streams without cover art and thumbnails.
        stream: index in the file.
        codec: FFmpeg's name of the decoder, "unknown" without one.
        width: width of the stored frame in pixels, 0 if unknown.
        height: height of the stored frame in pixels, 0 if unknown.
        default: whether the file marks it as the one to play by default.
        language: language tag.
        title: title tag.
        programme: number of the MPEG-TS program that the stream belongs to.
    """

    index: int  # type: ignore[assignment]
    stream: int
    codec: str
    width: int
    height: int
    default: bool
    language: str | None
    title: str | None
    programme: int | None = None


class MediaInfo(NamedTuple):
    """Properties of a media file.

    Args:
        path: the file.
        container: FFmpeg's name of the format.
        duration_s: duration in seconds, None if the file does not say.
        start_s: start time of the container, in seconds.
        fps: mean frame rate of the first seconds, by timestamps.
        width: width of the upright frame with square pixels.
        height: height of the upright frame.
        rotation: clockwise rotation of the stored frame to the upright one, in degrees.
        video_codec: FFmpeg's name of the decoder.
        video_start_s: presentation time of the first frame, in seconds on the file's clock.
        audio: the audio streams.
        video: the chosen video stream, which all of the above describe: its index in `videos`.
        videos: the video streams without cover art and thumbnails.
    """

    path: str
    container: str
    duration_s: float | None
    start_s: float
    fps: float
    width: int
    height: int
    rotation: int
    video_codec: str
    video_start_s: float
    audio: tuple[AudioStream, ...]
    video: int = 0
    videos: tuple[VideoStream, ...] = ()


def probe_media(path: str | os.PathLike[str], video: int = 0) -> MediaInfo:
    """Read the properties of a file; decodes the first frame of one video stream only.

    Args:
        path: a media file.
        video: position among the video streams without cover art and thumbnails, from 0.

    Raises:
        UnreadableMedia: if no frame of the video stream can be decoded.
        ValueError: if there is no such video stream.
    """
    with open_media(path) as container:
        stream = video_stream(container, video)
        time_s, frame = next(decode_video_frames(container, stream))
        rotation = Rotation.of(frame)
        programs = stream_programs(path) if container.format.name == "mpegts" else {}
        width, height = rotation.size(round(pixel_ratio(stream) * frame.width), frame.height)
        return MediaInfo(
            path=str(os.fspath(path)),
            container=container.format.name,
            duration_s=_duration_s(container),
            start_s=(container.start_time or 0) / av.time_base,
            fps=_mean_rate(path, video) or float(stream.guessed_rate or stream.average_rate or 0),
            width=width,
            height=height,
            rotation=rotation.rotation,
            video_codec=stream.codec_context.name,
            video_start_s=time_s,
            audio=tuple(
                _audio(i, audio, programs.get(audio.id))
                for i, audio in enumerate(container.streams.audio)
            ),
            video=video,
            videos=tuple(_video(i, s) for i, s in enumerate(motion_video_streams(container))),
        )


def channel_names(path: str | os.PathLike[str], stream: int = 0) -> tuple[str, ...]:
    """Return the names of an audio stream's channels as decoded: FL, FR, FC, LFE, ...

    Channels without a position in the layout are named by number, from "1".

    Args:
        path: a media file.
        stream: position among the audio streams, from 0.

    Raises:
        UnreadableMedia: if there is no audio stream, or none of it can be decoded.
        ValueError: if there is no such audio stream.
    """
    with open_media(path) as container:
        layout = _first_audio(container, audio_stream(container, stream)).layout
        if "channels" in layout.name:
            return tuple(str(number) for number in range(1, layout.nb_channels + 1))
        return tuple(channel.name for channel in layout.channels)


class DecodedAudio(NamedTuple):
    """Properties of the first audio stream as decoded, which may differ from its header.

    Args:
        start_s: time of the first frame on the file's clock.
        sample_rate: samples per second.
        layout: channel layout.
        with_video: whether the file also has a video stream.
    """

    start_s: float
    sample_rate: int
    layout: str
    with_video: bool


def probe_audio(path: str | os.PathLike[str]) -> DecodedAudio:
    """Read the properties of the first audio stream; decodes its first frame only.

    Raises:
        UnreadableMedia: if there is no audio stream, or none of it can be decoded.
    """
    with open_media(path) as container:
        stream = audio_stream(container)
        # Decoded, because a header may differ from the audio: HE-AAC declares half its rate.
        first = _first_audio(container, stream)
        return DecodedAudio(
            start_s=float(first.time or 0.0),
            sample_rate=first.sample_rate,
            layout=channel_layout(stream.codec_context),
            with_video=bool(motion_video_streams(container)),
        )


def header_sample_rate(path: str | os.PathLike[str]) -> int:
    """Return the sample rate of the first audio stream according to its header."""
    with open_media(path) as container:
        return int(audio_stream(container).codec_context.sample_rate)


def last_audio_packet_end_s(path: str | os.PathLike[str]) -> float:
    """Return the end time of the last audio packet, on the file's clock: headers may lack it."""
    end_s = 0.0
    with open_media(path) as container:
        for packet in ContinuousClock(container, audio_stream(container)).packets():
            if packet is not None and packet.pts is not None and packet.time_base is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                end_s = max(end_s, float(end))
    return end_s


def _first_audio(container: InputContainer, stream: av.AudioStream) -> av.AudioFrame:
    first = next(filter(is_valid_audio, decoded(packets(container, stream), stream)), None)
    if first is None:
        raise UnreadableMedia("damaged", "no audio of the audio stream could be decoded")
    return first


def _video(index: int, stream: av.VideoStream) -> VideoStream:
    context = stream.codec_context
    return VideoStream(
        index=index,
        stream=stream.index,
        codec=context.name if context else "unknown",
        width=context.width if context else 0,
        height=context.height if context else 0,
        default=bool(stream.disposition & Disposition.default),
        language=_tag(stream, "language"),
        title=_tag(stream, "title"),
    )


def _audio(index: int, stream: av.AudioStream, programme: int | None) -> AudioStream:
    context = stream.codec_context
    return AudioStream(
        index=index,
        codec=context.name if context else "unknown",
        sample_rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        start_s=_seconds(stream.start_time, stream),
        duration_s=_seconds(stream.duration, stream),
        stream=stream.index,
        language=_tag(stream, "language"),
        title=_tag(stream, "title"),
        dispositions=tuple(flag.name or "" for flag in Disposition if stream.disposition & flag),
        layout=channel_layout(context) if context else "",
        programme=programme,
    )


def _tag(stream: Stream, name: str) -> str | None:
    value = stream.metadata.get(name)
    return value if value and value != "und" else None  # ISO 639-2: undetermined.


def _mean_rate(path: str | os.PathLike[str], video: int) -> float | None:
    """Return the mean frame rate of the first packets: rate fields of VFR files are unreliable."""
    times = []
    with open_media(path) as container:
        stream = video_stream(container, video)
        for packet in islice(ContinuousClock(container, stream).packets(), RATE_PACKETS):
            if packet is None or not packet.size or packet.is_discard:
                continue
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None:
                times.append(stamp)
        times.sort()
        if len(times) == RATE_PACKETS:
            times = times[:-REORDER_PACKETS]
        if len(times) < 2 or times[-1] == times[0] or stream.time_base is None:
            return None
        return float((len(times) - 1) / ((times[-1] - times[0]) * stream.time_base))


def _duration_s(container: InputContainer) -> float | None:
    lengths = [(container.duration or 0) / av.time_base]
    if not 0 < lengths[0] <= MAX_LENGTH_S:
        lengths = [_seconds(stream.duration, stream) or 0.0 for stream in container.streams]
    return max((length for length in lengths if 0 < length <= MAX_LENGTH_S), default=None)


def _seconds(stamp: int | None, stream: Stream) -> float | None:
    if stamp is None or stream.time_base is None:
        return None
    return float(stamp * stream.time_base)
