"""Rendered clips as video files: encoded while they are rendered, the sound moved by whole samples
where it is asked."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from avsync.synthetic.animation import Performance
from avsync.synthetic.clip import check_clip_arguments, iter_audio, iter_frames
from avsync.synthetic.utterance import Mode

# By what the container takes: video codec, its options, audio codec. AVI holds PCM: it has no place
# to say by how much an MP3 encoder is late.
_H264 = ("libx264", {"preset": "veryfast", "crf": "20"}, "aac")
_CODECS = {
    ".mp4": _H264,
    ".mov": _H264,
    ".mkv": _H264,
    ".webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "crf": "12"}, "libopus"),
    ".mpg": ("mpeg2video", {"qscale": "3"}, "mp2"),
    ".avi": ("mpeg4", {"qscale": "3"}, "pcm_s16le"),
}


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
    """Renders the clip of `render` into a file whose ending says its kind (mp4, mov, mkv, webm,
    mpg, avi).

    `audio_shift_ms` > 0 makes the sound later: it begins with that much silence and loses as much
    at its end; < 0 makes it earlier. Both streams start at 0 either way: nothing but the samples
    tells of the shift. `repeats` plays the clip that often in a row, rendering and encoding its
    pictures once: an hour of video takes what a minute takes. It jumps where it starts again.
    Memory does not grow with `duration_s` or `repeats`, save for one repeat's packets.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(1001)
    check_clip_arguments(seed, duration_s, mode, faces, size, rate, sample_rate)
    if path.suffix.lower() not in _CODECS:
        raise ValueError(f"path must end in one of {', '.join(_CODECS)}, got {path.name!r}")
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"size must be even for a file, got {size}")
    if not np.isfinite(audio_shift_ms):
        raise ValueError(f"audio_shift_ms must be finite, got {audio_shift_ms}")
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more, got {repeats}")
    v_codec, options, a_codec = _CODECS[path.suffix.lower()]
    total = max(1, round(duration_s * rate))
    pictures = iter_frames(seed, duration_s, mode, faces, size, rate)
    whole = _repeated(
        iter_audio(Performance(seed, mode, faces), round(total / rate * sample_rate), sample_rate),
        repeats,
    )
    sound = _shifted(whole, round(audio_shift_ms * sample_rate / 1000))
    with av.open(str(path), "w") as container:
        video = container.add_stream(video_codec or v_codec, rate=rate, options=options)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = container.add_stream(audio_codec or a_codec, rate=sample_rate, layout="mono")
        assert isinstance(audio, av.AudioStream)
        feed = _SoundFeed(container, audio, sound, sample_rate)
        taken = []
        for packet in _encoded(video, pictures, rate):
            if repeats > 1:
                taken.append(_Taken.of(packet))
            container.mux(packet)
            feed.until(_seconds(packet.pts, packet))
        for repeat in range(1, repeats):
            for kept in taken:
                packet = kept.again(video, repeat * total / rate)
                container.mux(packet)
                feed.until(_seconds(packet.pts, packet))
        feed.until(float("inf"))


class _Taken(NamedTuple):
    """An encoded picture kept for the repeats: its bytes and its times in seconds."""

    data: bytes
    pts_s: Fraction
    dts_s: Fraction
    is_keyframe: bool

    @staticmethod
    def of(packet: av.Packet) -> "_Taken":
        times = (_seconds(packet.pts, packet), _seconds(packet.dts, packet))
        return _Taken(bytes(packet), *times, packet.is_keyframe)

    def again(self, stream: av.VideoStream, later_s: Fraction) -> av.Packet:
        packet = av.Packet(self.data)
        packet.stream, packet.time_base = stream, Fraction(1, 90000)
        packet.pts = round((self.pts_s + later_s) * 90000)
        packet.dts = round((self.dts_s + later_s) * 90000)
        packet.is_keyframe = self.is_keyframe
        return packet


class _SoundFeed:
    """Encodes sound no further than the pictures have come, so that the muxer need not queue
    either."""

    def __init__(
        self,
        container: av.container.OutputContainer,
        stream: av.AudioStream,
        blocks: Iterator[np.ndarray],
        sample_rate: int,
    ) -> None:
        self.container, self.stream, self.sample_rate = container, stream, sample_rate
        self.pieces = (
            block[start : start + 4096] for block in blocks for start in range(0, len(block), 4096)
        )
        self.samples, self.done = 0, False

    def until(self, time_s: Fraction | float) -> None:
        while not self.done and self.samples < (time_s + 0.25) * self.sample_rate:
            piece = next(self.pieces, None)
            if piece is None:
                self.container.mux(self.stream.encode(None))
                self.done = True
                return
            frame = av.AudioFrame.from_ndarray(piece[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = self.sample_rate, self.samples
            frame.time_base = Fraction(1, self.sample_rate)
            self.container.mux(self.stream.encode(frame))
            self.samples += len(piece)


def _encoded(
    stream: av.VideoStream, pictures: Iterator[np.ndarray], rate: Fraction
) -> Iterator[av.Packet]:
    for k, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = k, 1 / rate
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _repeated(blocks: Iterator[np.ndarray], repeats: int) -> Iterator[np.ndarray]:
    if repeats == 1:
        yield from blocks
        return
    kept = list(blocks)
    for _ in range(repeats):
        yield from kept


def _shifted(blocks: Iterator[np.ndarray], later: int) -> Iterator[np.ndarray]:
    """The same number of samples, each `later` samples later (earlier where negative), silence
    where nothing is."""
    if later < 0:
        yield from _dropped(blocks, -later)
        yield np.zeros(-later, np.float32)
        return
    held = np.zeros(later, np.float32)
    for block in blocks:
        joined = np.concatenate([held, block])
        yield joined[: len(block)]
        held = joined[len(block) :]


def _dropped(blocks: Iterator[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    for block in blocks:
        if samples < len(block):
            yield block[samples:]
        samples = max(0, samples - len(block))


def _seconds(ticks: int | None, packet: av.Packet) -> Fraction:
    """An encoder gives its packets both times; a packet without one is a bug of ours."""
    assert ticks is not None
    return ticks * packet.time_base
