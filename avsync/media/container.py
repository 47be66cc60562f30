"""Open media files, select streams, and decode packets with tolerance for damage.

Limits on untrusted files are here: allowed containers and protocols, frame size, sample rates,
channels, timestamp gaps. A file that cannot be used raises `UnreadableMedia` with the cause.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream

from avsync.media.open_limits import (
    MAX_OPEN_S,
    MAX_STREAMS,
    OpenLimitExceeded,
    describe_refusal,
    opening_limits,
)
from avsync.media.tag_count import MAX_TAGS, count_tags

Unreadable = Literal["no_video_stream", "no_audio_stream", "damaged"]

# Allowed containers. FFmpeg also opens text, still images, and playlists that name other files.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,flv,live_flv,asf,mxf,ogg,"
    "nut,rm,dv,gxf,wtv,h264,hevc,m4v,ivf,obu,mjpeg,wav,w64,aiff,caf,au,mp3,aac,ac3,eac3,flac,amr"
)
CONTAINER_OPTIONS = {
    "format_whitelist": CONTAINERS,
    "protocol_whitelist": "file",
    "max_streams": str(MAX_STREAMS),
}
# A larger frame is refused before it is allocated: a few bytes of header can request gigabytes, and
# a decoder keeps up to 16 frames and one per thread. 8K, 8192 x 4320, is 35.4 million pixels.
MAX_PIXELS = 36_000_000
# Decoders of frames larger than HD are limited to these threads, each of which keeps frames.
LARGE_PIXELS, LARGE_THREADS = 4_000_000, 4
# Values outside these come from damaged headers; at 1 Hz, each sample would be resampled to 16000.
AUDIO_RATES = (1000, 768_000)
MAX_CHANNELS = 64
# A timestamp this far after the previous one is damaged, not an hour of silence.
MAX_GAP_S = 3600.0
# Frames and audio later than this after the first frame have damaged timestamps.
MAX_LENGTH_S = 100 * 3600.0
# A file may be read this many times over, and a little more. Edit lists and crafted indices can
# repeat the same bytes for hours, compressed packets expand. Valid edit lists repeat a part, and
# start at key frames, whose packets until the edit are decoded, not shown, and count less.
MAX_REPEATS, SPARE_BYTES, PACKET_BYTES, HIDDEN_SHARE = 16, 1 << 20, 8, 0.125
# Consecutive read errors that are tolerated; a file that is cut off gives one.
READ_ERRORS = 16


# Streams and frames of either kind; PyAV's types distinguish them by overloads.
AnyStream = Any
AnyFrame = Any


class UnreadableMedia(RuntimeError):
    """Raised for a file that cannot be used; `str(error)` is the cause in plain words."""

    def __init__(self, reason: Unreadable, cause: str) -> None:
        super().__init__(cause)
        self.reason: Unreadable = reason


def open_media(path: str | os.PathLike[str]) -> InputContainer:
    """Open a media file for reading.

    Raises:
        UnreadableMedia: if it is missing, empty, not readable or not a media file.
    """
    name = os.fspath(path)
    # Unlike those of `Path`, these take a name that no file can have: too long, or with a NUL byte.
    if not os.path.isfile(name):
        what = "is a folder, not a file" if os.path.isdir(name) else "does not exist"
        raise UnreadableMedia("damaged", f"{name} {what}")
    if Path(name).stat().st_size == 0:
        raise UnreadableMedia("damaged", "the file is empty (0 bytes)")
    container = None
    try:
        if (tags := count_tags(name)) > MAX_TAGS:
            raise OpenLimitExceeded(f"it has {tags} tags, and the limit is {MAX_TAGS}")
        with opening_limits():
            container = av.open(
                # With an explicit protocol, no name is taken for an address or a device.
                f"file:{name}",
                options={"max_pixels": str(MAX_PIXELS)},
                container_options=CONTAINER_OPTIONS,
                metadata_errors="surrogateescape",
                timeout=(MAX_OPEN_S, None),
            )
        return container
    except PermissionError:
        raise UnreadableMedia("damaged", "the file may not be read (permission denied)") from None
    except (av.error.FFmpegError, OSError, ValueError, MemoryError, OpenLimitExceeded) as error:
        if container is not None:
            container.close()
        if refusal := describe_refusal(error):
            raise UnreadableMedia("damaged", refusal) from error
        cause = "not a media file, or its header is damaged or missing"
        raise UnreadableMedia("damaged", f"{cause} ({ffmpeg_message(error)})") from error


def motion_video_streams(container: InputContainer) -> list[av.VideoStream]:
    """Return the video streams without cover art and thumbnails."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & still]


def video_stream(container: InputContainer, index: int = 0) -> av.VideoStream:
    """Return a video stream, configured for decoding.

    Args:
        container: the file.
        index: position among the video streams without cover art and thumbnails, from 0.

    Raises:
        UnreadableMedia: if there is no video stream, or this one cannot be decoded.
        ValueError: if the index is out of range.
    """
    streams = motion_video_streams(container)
    if not streams:
        raise UnreadableMedia("no_video_stream", "the file has no video stream")
    if not 0 <= index < len(streams):
        raise ValueError(f"video must be one of the file's {len(streams)} from 0, got {index}")
    stream = streams[index]
    context = stream.codec_context
    if context is None:
        raise UnreadableMedia("damaged", "there is no decoder for the codec of the video")
    if context.width * context.height > MAX_PIXELS:
        size = f"{context.width}x{context.height}"
        limit = f"the limit of {MAX_PIXELS // 10**6} megapixels"
        raise UnreadableMedia("damaged", f"its frames of {size} are beyond {limit}")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    stream.thread_type = "AUTO"
    if context.width * context.height > LARGE_PIXELS:
        context.thread_count = min(LARGE_THREADS, os.cpu_count() or 1)
    read_only(container, stream)
    return stream


def audio_stream(container: InputContainer, index: int = 0) -> av.AudioStream:
    """Return an audio stream, configured for decoding.

    Args:
        container: the file.
        index: position among the audio streams, from 0.

    Raises:
        UnreadableMedia: if there is no audio stream, or no decoder for it.
        ValueError: if the index is out of range.
    """
    streams = container.streams.audio
    if not streams:
        raise UnreadableMedia("no_audio_stream", "the file has no audio stream")
    if not 0 <= index < len(streams):
        raise ValueError(f"stream must be one of the file's {len(streams)} from 0, got {index}")
    stream = streams[index]
    if stream.codec_context is None:
        raise UnreadableMedia("damaged", "there is no decoder for the codec of the audio")
    read_only(container, stream)
    return stream


def decoded(source: Iterator[av.Packet | None], stream: AnyStream) -> Iterator[AnyFrame]:
    """Yield the decoded frames of a stream from its packets, skipping damaged ones."""
    for packet in source:
        try:
            yield from stream.decode(packet)
        except BlockingIOError:
            # After an error the decoder may hold undelivered frames and accept no more packets:
            # flushed, it restarts at the next key frame.
            stream.codec_context.flush_buffers()
        except (av.error.FFmpegError, ValueError, MemoryError):
            continue


def packets(container: InputContainer, *streams: Stream) -> Iterator[av.Packet | None]:
    """Yield the packets of streams as far as the file can be read, then empty packets or None.

    Decoding the latter flushes the frames that the decoder delays.

    Raises:
        UnreadableMedia: if the same bytes are read again and again.
    """
    errors, read = 0, 0.0
    most = MAX_REPEATS * max(0, container.size) + SPARE_BYTES
    while errors < READ_ERRORS:
        try:
            for packet in container.demux(streams):
                share = HIDDEN_SHARE if packet.is_discard else 1
                read += share * (packet.size + PACKET_BYTES)
                if read > most:
                    cause = f"it repeats or expands its data more than {MAX_REPEATS} times"
                    raise UnreadableMedia("damaged", cause)
                yield packet
                errors = 0
            return
        except IndexError:
            continue  # A packet of a stream that the header does not declare: unknown to PyAV.
        except (av.error.FFmpegError, OSError):
            errors += 1
    yield None


def read_only(container: InputContainer, *wanted: Stream) -> None:
    """Let the demuxer skip all other streams, where possible without reading them."""
    for stream in container.streams:
        stream.discard = Discard.default if stream in wanted else Discard.all


def ffmpeg_message(error: Exception) -> str:
    """Return the message of an FFmpeg error, without numbers and file names."""
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0] if text else type(error).__name__
