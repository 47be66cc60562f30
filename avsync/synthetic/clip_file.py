"""Render clips to video files: encoded while they are rendered, with an optional audio shift."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from avsync.synthetic.animation import Animation
from avsync.synthetic.clip import check_clip_arguments, iter_audio, iter_frames
from avsync.synthetic.utterance import Mode

# Suffix -> video codec, its options, and audio codec. AVI holds PCM: it has no field for the delay
# of an MP3 encoder.
_H264 = ("libx264", {"preset": "veryfast", "crf": "20"}, "aac")
_CODECS = {
    ".mp4": _H264,
    ".mov": _H264,
    ".mkv": _H264,
    ".webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "crf": "12"}, "libopus"),
    ".mpg": ("mpeg2video", {"qscale": "3"}, "mp2"),
    ".avi": ("mpeg4", {"qscale": "3"}, "pcm_s16le"),
}
# Time base of repeated packets.
_TICKS_PER_S = 90000
# Samples per encoded block, and how far audio may be encoded ahead of video.
_BLOCK_SAMPLES, _LEAD_S = 4096, 0.25


def render_clip(
    path: str | Path,
    seed: int = 0,
    duration_s: float = 4.0,
    mode: Mode = "speech",
    faces: int = 1,
    size: tuple[int, int] = (640, 360),
    fps: float | Fraction = 25,
    sample_rate: int = 48000,
    audio_shift_ms: float = 0.0,
    repeats: int = 1,
    video_codec: str | None = None,
    audio_codec: str | None = None,
) -> None:
    """Render the clip of `render` to a file.

    Both streams start at 0 whatever the shift: nothing but the samples reveals it. Memory does not
    grow with `duration_s` or `repeats`, except for the packets of one repeat.

    Args:
        path: its suffix chooses the container: mp4, mov, mkv, webm, mpg or avi.
        seed, duration_s, mode, faces, size, fps, sample_rate: as in `render`.
        audio_shift_ms: > 0 delays the audio, which then starts with silence and loses its end;
            < 0 advances it.
        repeats: how many times to play the clip in a row. Its frames are rendered and encoded once,
            so an hour of video takes as long as a minute. The content jumps at each repeat.
        video_codec: replaces the container's default codec.
        audio_codec: likewise.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(1001)
    check_clip_arguments(seed, duration_s, mode, faces, size, rate, sample_rate)
    _check_file_arguments(path, size, audio_shift_ms, repeats)
    v_codec, options, a_codec = _CODECS[path.suffix.lower()]
    total = max(1, round(duration_s * rate))
    frames = iter_frames(seed, duration_s, mode, faces, size, rate)
    samples = round(total / rate * sample_rate)
    once = iter_audio(Animation(seed, mode, faces), samples, sample_rate)
    audio = _shift(_repeat(once, repeats), round(audio_shift_ms * sample_rate / 1000))
    with av.open(str(path), "w") as container:
        video_stream = container.add_stream(video_codec or v_codec, rate=rate, options=options)
        assert isinstance(video_stream, av.VideoStream)
        video_stream.width, video_stream.height, video_stream.pix_fmt = *size, "yuv420p"
        codec = audio_codec or a_codec
        audio_stream = container.add_stream(codec, rate=sample_rate, layout="mono")
        assert isinstance(audio_stream, av.AudioStream)
        encoder = _PacedAudioEncoder(container, audio_stream, audio, sample_rate)
        packets = []
        for packet in _encode_video(video_stream, frames, rate):
            if repeats > 1:
                packets.append(_EncodedFrame.of(packet))
            container.mux(packet)
            encoder.encode_until(_seconds(packet.pts, packet))
        for repeat in range(1, repeats):
            for encoded in packets:
                packet = encoded.to_packet(video_stream, repeat * total / rate)
                container.mux(packet)
                encoder.encode_until(_seconds(packet.pts, packet))
        encoder.encode_until(float("inf"))


def _check_file_arguments(
    path: Path, size: tuple[int, int], audio_shift_ms: float, repeats: int
) -> None:
    if path.suffix.lower() not in _CODECS:
        raise ValueError(f"path must end in one of {', '.join(_CODECS)}, got {path.name!r}")
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"size must be even for a file, got {size}")
    if not np.isfinite(audio_shift_ms):
        raise ValueError(f"audio_shift_ms must be finite, got {audio_shift_ms}")
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more, got {repeats}")


class _EncodedFrame(NamedTuple):
    """A video packet kept for the repeats: its bytes and its times in seconds."""

    data: bytes
    pts_s: Fraction
    dts_s: Fraction
    is_keyframe: bool

    @staticmethod
    def of(packet: av.Packet) -> "_EncodedFrame":
        times = (_seconds(packet.pts, packet), _seconds(packet.dts, packet))
        return _EncodedFrame(bytes(packet), *times, packet.is_keyframe)

    def to_packet(self, stream: av.VideoStream, delay_s: Fraction) -> av.Packet:
        packet = av.Packet(self.data)
        packet.stream, packet.time_base = stream, Fraction(1, _TICKS_PER_S)
        packet.pts = round((self.pts_s + delay_s) * _TICKS_PER_S)
        packet.dts = round((self.dts_s + delay_s) * _TICKS_PER_S)
        packet.is_keyframe = self.is_keyframe
        return packet


class _PacedAudioEncoder:
    """Encodes audio only a little ahead of the video, so that the muxer need not queue either."""

    def __init__(
        self,
        container: av.container.OutputContainer,
        stream: av.AudioStream,
        blocks: Iterator[np.ndarray],
        sample_rate: int,
    ) -> None:
        self.container, self.stream, self.sample_rate = container, stream, sample_rate
        self.blocks = (
            block[start : start + _BLOCK_SAMPLES]
            for block in blocks
            for start in range(0, len(block), _BLOCK_SAMPLES)
        )
        self.samples, self.done = 0, False

    def encode_until(self, time_s: Fraction | float) -> None:
        while not self.done and self.samples < (time_s + _LEAD_S) * self.sample_rate:
            block = next(self.blocks, None)
            if block is None:
                self.container.mux(self.stream.encode(None))
                self.done = True
                return
            frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = self.sample_rate, self.samples
            frame.time_base = Fraction(1, self.sample_rate)
            self.container.mux(self.stream.encode(frame))
            self.samples += len(block)


def _encode_video(
    stream: av.VideoStream, images: Iterator[np.ndarray], rate: Fraction
) -> Iterator[av.Packet]:
    for k, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = k, 1 / rate
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _repeat(blocks: Iterator[np.ndarray], repeats: int) -> Iterator[np.ndarray]:
    if repeats == 1:
        yield from blocks
        return
    kept = list(blocks)
    for _ in range(repeats):
        yield from kept


def _shift(blocks: Iterator[np.ndarray], delay: int) -> Iterator[np.ndarray]:
    """Delay audio by `delay` samples (advance it if negative), padded with silence."""
    if delay < 0:
        yield from _drop(blocks, -delay)
        yield np.zeros(-delay, np.float32)
        return
    held = np.zeros(delay, np.float32)
    for block in blocks:
        joined = np.concatenate([held, block])
        yield joined[: len(block)]
        held = joined[len(block) :]


def _drop(blocks: Iterator[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    for block in blocks:
        if samples < len(block):
            yield block[samples:]
        samples = max(0, samples - len(block))


def _seconds(ticks: int | None, packet: av.Packet) -> Fraction:
    # Packets of an encoder have both times.
    assert ticks is not None
    return ticks * packet.time_base
