"""What a media file holds, read from its header, its first packets and its first frame."""

import os
from itertools import islice
from typing import NamedTuple

import av
from av.container import InputContainer
from av.stream import Stream

from avsync.media.audio_reader import is_audio
from avsync.media.container import UnreadableMedia as UnreadableMedia
from avsync.media.container import (
    audio_stream,
    decoded,
    moving_streams,
    open_media,
    packets,
    video_stream,
)
from avsync.media.video_reader import MAX_LENGTH_S, Turn, decoded_frames, pixel_ratio
from avsync.media.writers.audio_encoder import named_layout

# Packets looked at for the average frame rate, about ten seconds of video.
RATE_PACKETS = 300
# Packets come in decoding order; the newest may be shown after some that are still to come.
REORDER_PACKETS = 16


class AudioStream(NamedTuple):
    """One audio track; `index` counts them from 0, times are seconds on the file's clock."""

    index: int  # type: ignore[assignment]
    codec: str
    sample_rate: int
    channels: int
    start_s: float | None
    duration_s: float | None


class MediaInfo(NamedTuple):
    """What a file holds; times are seconds on the file's clock, sizes those of the upright frame
    with square pixels.

    `fps` is the mean over the first seconds, by timestamps. `rotation` says by how many degrees the
    stored frame is turned clockwise to stand upright. `video_start_s` is when the first frame
    is shown. `duration_s` is None where the file does not say.
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


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Describe a file, decoding its first frame only; UnreadableMedia where there is none."""
    with open_media(path) as container:
        stream = video_stream(container)
        time_s, frame = next(decoded_frames(container, stream))
        turn = Turn.of(frame)
        width, height = turn.size(round(pixel_ratio(stream) * frame.width), frame.height)
        return MediaInfo(
            path=str(os.fspath(path)),
            container=container.format.name,
            duration_s=_duration_s(container),
            start_s=(container.start_time or 0) / av.time_base,
            fps=_mean_rate(path) or float(stream.guessed_rate or stream.average_rate or 0),
            width=width,
            height=height,
            rotation=turn.rotation,
            video_codec=stream.codec_context.name,
            video_start_s=time_s,
            audio=tuple(_audio(i, each) for i, each in enumerate(container.streams.audio)),
        )


class DecodedAudio(NamedTuple):
    """The first audio stream of a file as its decoder gives it, which a header may tell wrongly.

    `start_s` is when the first frame begins on the file's clock, `with_video` whether the file has
    moving frames besides.
    """

    start_s: float
    sample_rate: int
    layout: str
    with_video: bool


def probe_audio(path: str | os.PathLike[str]) -> DecodedAudio:
    """Describe the first audio stream of a file, decoding its first frame only.

    Raises:
        UnreadableMedia: there is no audio stream, or nothing of it can be decoded.
    """
    with open_media(path) as container:
        stream = audio_stream(container)
        # Decoded, because a header may say less than the audio: AAC of double rate, say.
        first = next(filter(is_audio, decoded(container, stream)), None)
        if first is None:
            raise UnreadableMedia("damaged", "no audio of the audio stream could be decoded")
        return DecodedAudio(
            start_s=float(first.time or 0.0),
            sample_rate=first.sample_rate,
            layout=named_layout(stream.codec_context),
            with_video=bool(moving_streams(container)),
        )


def audio_rate(path: str | os.PathLike[str]) -> int:
    """Return the samples a second of the first audio stream, by its header."""
    with open_media(path) as container:
        return int(audio_stream(container).codec_context.sample_rate)


def audio_end_s(path: str | os.PathLike[str]) -> float:
    """Return when the last packet of the audio ends, on the file's clock: headers may not say."""
    end_s = 0.0
    with open_media(path) as container:
        for packet in packets(container, audio_stream(container)):
            if packet is not None and packet.pts is not None and packet.time_base is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                end_s = max(end_s, float(end))
    return end_s


def _audio(index: int, stream: av.AudioStream) -> AudioStream:
    context = stream.codec_context
    return AudioStream(
        index=index,
        codec=context.name if context else "unknown",
        sample_rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        start_s=_seconds(stream.start_time, stream),
        duration_s=_seconds(stream.duration, stream),
    )


def _mean_rate(path: str | os.PathLike[str]) -> float | None:
    """Return frames a second over the first packets: the rate fields of VFR files are no clock."""
    times = []
    with open_media(path) as container:
        stream = video_stream(container)
        for packet in islice(packets(container, stream), RATE_PACKETS):
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
