"""Opening a media file, choosing its streams, decoding what can be decoded.

A file that cannot be used is an UnreadableMedia with a cause.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream

Unreadable = Literal["no_video_stream", "no_audio_stream", "damaged"]

# Containers of real media. FFmpeg also "plays" text, single frames, and playlists that name
# other files.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,flv,live_flv,asf,mxf,ogg,"
    "nut,rm,dv,gxf,wtv,h264,hevc,m4v,ivf,obu,mjpeg,wav,w64,aiff,caf,au,mp3,aac,ac3,eac3,flac,amr"
)
# A frame is refused before it is allocated: a few bytes of header can ask for gigabytes, and a
# decoder holds up to 16 frames and one a thread. 8K, 8192 x 4320, is 35.4 million pixels.
MAX_PIXELS = 36_000_000
# Decoders of frames larger than HD's do with these threads, each of which holds frames.
LARGE_PIXELS, LARGE_THREADS = 4_000_000, 4
# Audio outside these is a damaged header; resampling 1 Hz would make 16000 samples of each.
AUDIO_RATES = (1000, 768_000)
MAX_CHANNELS = 64
# A timestamp this far after the one before it is a broken one, not an hour of nothing.
MAX_GAP_S = 3600.0
# Reading goes on after so many errors in a row; where a file just ends there is one.
READ_ERRORS = 16


# What PyAV calls streams and frames of either kind; its own types tell them apart by overloads.
AnyStream = Any
AnyFrame = Any


class UnreadableMedia(RuntimeError):
    """A file that cannot be used; `str(error)` is the cause in its owner's words."""

    def __init__(self, reason: Unreadable, cause: str) -> None:
        super().__init__(cause)
        self.reason: Unreadable = reason


def open_media(path: str | os.PathLike[str]) -> InputContainer:
    """Open a media file for reading; UnreadableMedia with the cause where it is none."""
    name = os.fspath(path)
    if not Path(name).is_file():
        what = "is a folder, not a file" if Path(name).is_dir() else "does not exist"
        raise UnreadableMedia("damaged", f"{name} {what}")
    if Path(name).stat().st_size == 0:
        raise UnreadableMedia("damaged", "the file is empty (0 bytes)")
    try:
        return av.open(
            # With the protocol spelt out, no name is ever taken for an address or a device.
            f"file:{name}",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            metadata_errors="surrogateescape",
        )
    except PermissionError:
        raise UnreadableMedia("damaged", "the file may not be read (permission denied)") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        cause = "not a media file, or its header is damaged or missing"
        raise UnreadableMedia("damaged", f"{cause} ({first_line(error)})") from error


def moving_streams(container: InputContainer) -> list[av.VideoStream]:
    """Return the streams of moving frames: covers and thumbnails are not video."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & still]


def video_stream(container: InputContainer) -> av.VideoStream:
    """Return the first stream of moving frames, set up to be decoded; covers are not video."""
    streams = moving_streams(container)
    if not streams:
        raise UnreadableMedia("no_video_stream", "the file has no video stream")
    stream = streams[0]
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
    _read_only(container, stream)
    return stream


def audio_stream(container: InputContainer, index: int = 0) -> av.AudioStream:
    """Audio stream `index`, counted among the audio streams, set up to be decoded."""
    streams = container.streams.audio
    if not streams:
        raise UnreadableMedia("no_audio_stream", "the file has no audio stream")
    if not 0 <= index < len(streams):
        raise ValueError(f"stream must be one of the file's {len(streams)} from 0, got {index}")
    stream = streams[index]
    if stream.codec_context is None:
        raise UnreadableMedia("damaged", "there is no decoder for the codec of the audio")
    _read_only(container, stream)
    return stream


def decoded(container: InputContainer, stream: AnyStream) -> Iterator[AnyFrame]:
    """Yield the frames of a stream as its decoder gives them; what is damaged is passed over."""
    for packet in packets(container, stream):
        try:
            yield from stream.decode(packet)
        except BlockingIOError:
            # After an error the decoder may sit on frames it was not asked for, and takes nothing
            # more: it starts afresh at the next key frame.
            stream.codec_context.flush_buffers()
        except (av.error.FFmpegError, ValueError, MemoryError):
            continue


def packets(container: InputContainer, *streams: Stream) -> Iterator[av.Packet | None]:
    """Yield the packets of streams as far as the file can be read, then empty ones or None.

    Decoding those gives the frames that a decoder holds back.
    """
    errors = 0
    while errors < READ_ERRORS:
        try:
            for packet in container.demux(streams):
                yield packet
                errors = 0
            return
        except IndexError:
            continue  # A packet of a stream that the header does not name: PyAV knows no such.
        except (av.error.FFmpegError, OSError):
            errors += 1
    yield None


def _read_only(container: InputContainer, wanted: Stream) -> None:
    # The demuxer then skips the other streams' packets, where it can without reading them.
    for stream in container.streams:
        stream.discard = Discard.default if stream is wanted else Discard.all


def first_line(error: Exception) -> str:
    """Return what an error of FFmpeg says, without the numbers and names around it."""
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0] if text else type(error).__name__
