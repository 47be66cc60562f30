"""Encode short clips and audio as mp4 in memory, for pages that play them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
from av.container import OutputContainer

from avsync.media.container import ffmpeg_message

VIDEO_OPTIONS = {"crf": "30", "preset": "fast", "profile": "main", "bf": "0"}
VIDEO_FPS = 30
CLIP_AUDIO_BITS = 48_000
TICKS = Fraction(1, 90000)
# Presentation times in seconds, and images.
Frames = Sequence[tuple[float, np.ndarray]]


def encode_clip(frames: Frames, wav: np.ndarray, rate: int) -> bytes:
    """Encode frames and mono audio as H.264 and AAC.

    Args:
        frames: presentation times, in seconds from the start, and images `(H, W, 3)` RGB uint8 of
            one size; an odd row or column is cropped.
        wav: samples `(N,)` float32.
        rate: sample rate.

    Raises:
        RuntimeError: if there is no encoder.
    """
    with _encoding() as (written, container):
        for packet in _packets(container, frames, wav, rate):
            container.mux(packet)
    return written.getvalue()


def encode_audio(wav: np.ndarray, rate: int, encoded_rate: int, bit_rate: int) -> bytes:
    """Encode mono audio as AAC.

    Args:
        wav: samples `(N,)`.
        rate: sample rate.
        encoded_rate: sample rate of the mp4.
        bit_rate: bits per second.

    Raises:
        RuntimeError: if there is no encoder.
    """
    with _encoding() as (written, container):
        stream = container.add_stream("aac", rate=encoded_rate, layout="mono")
        stream.bit_rate = bit_rate
        resampler = av.AudioResampler("fltp", "mono", encoded_rate)
        frame = _audio_frame(wav.astype(np.float32), rate)
        for resampled in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return written.getvalue()


def _packets(
    container: OutputContainer, frames: Frames, wav: np.ndarray, rate: int
) -> list[av.Packet]:
    height, width = (side // 2 * 2 for side in frames[0][1].shape[:2])
    video = container.add_stream("libx264", rate=VIDEO_FPS, options=VIDEO_OPTIONS)
    video.width, video.height, video.pix_fmt = width, height, "yuv420p"
    video.codec_context.time_base = TICKS
    audio = container.add_stream("aac", rate=rate, layout="mono", bit_rate=CLIP_AUDIO_BITS)
    packets: list[av.Packet] = []
    for at_s, image in frames:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), "rgb24")
        frame.pts, frame.time_base = round(at_s / TICKS), TICKS
        packets += video.encode(frame)
    packets += video.encode(None)
    return [*packets, *audio.encode(_audio_frame(wav, rate)), *audio.encode(None)]


def _audio_frame(wav: np.ndarray, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(wav[None], "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


@contextmanager
def _encoding() -> Iterator[tuple[BytesIO, OutputContainer]]:
    written = BytesIO()
    try:
        with av.open(written, "w", format="mp4") as container:
            yield written, container
    except (av.error.FFmpegError, ValueError) as error:  # ValueError: unknown codec.
        raise RuntimeError(f"the clip cannot be encoded: {ffmpeg_message(error)}") from error
