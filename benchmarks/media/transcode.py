"""Transcode clips to other frame rates, containers, codecs, start times and rotations.

Files are read and timed with PyAV alone, so that tests of avsync's readers do not depend on them.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

# Display matrices by clockwise rotation in degrees.
MATRICES = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
X264 = {"preset": "veryfast", "crf": "16"}
ENCODERS: dict[str, dict[str, str]] = {
    "libx264": X264,  # Has B-frames: frames are not stored in display order.
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "4M"},
    "mpeg4": {"qscale": "3", "flags": "qscale", "global_quality": "354"},
    "mpeg2video": {"g": "1", "b": "12M"},
    "libx265": {"preset": "veryfast", "crf": "24", "x265-params": "log-level=error"},
}
DROP_SEED = 11
BLOCK = 1024


class Clip(NamedTuple):
    """Frames `(H, W, 3)` with their start times and the end of the last, and mono audio `(N,)`."""

    frames: list[np.ndarray]
    times_s: np.ndarray
    end_s: float
    wav: np.ndarray
    rate: int
    wav_start_s: float


class Variant(NamedTuple):
    """How a clip is transcoded.

    Args:
        name: name in tables and records.
        suffix: suffix of the container.
        video: video encoder.
        audio: audio encoder.
        fps: constant frame rate; None keeps the original timestamps.
        variable: `dropped` drops about every fourth frame, `held` drops repeated frames.
        sample_rate: audio sample rate; None keeps the original one.
        video_from_s: drop frames before this time.
        audio_from_s: drop audio before this time.
        hidden_s: duration written before time 0, which an edit list skips.
        rotation: rotation in degrees by the display matrix.
        pixel_ratio: width of a stored pixel over its height.
        bit_rate: of the video in bits a second; None for the encoder's quality.
    """

    name: str
    suffix: str = ".mp4"
    video: str = "libx264"
    audio: str = "aac"
    fps: Fraction | None = None
    variable: str | None = None
    sample_rate: int | None = 48000
    video_from_s: float = 0.0
    audio_from_s: float = 0.0
    hidden_s: float = 0.0
    rotation: int = 0
    pixel_ratio: Fraction | None = None
    bit_rate: int | None = None


def load(path: Path) -> Clip:
    """Decode a file with its timestamps."""
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    frames = [frame.to_ndarray(format="rgb24") for frame in decoded]
    times_s = np.array([float(frame.pts * frame.time_base) for frame in decoded])
    with av.open(str(path)) as container:
        blocks = list(container.decode(audio=0))
    rate, start_s = blocks[0].sample_rate, float(blocks[0].pts * blocks[0].time_base)
    resampler = av.AudioResampler("fltp", "mono", rate, options={"rematrix_maxval": "1.0"})
    wav = np.concatenate(
        [out.to_ndarray()[0] for block in [*blocks, None] for out in resampler.resample(block)]
    )
    end_s = times_s[-1] + float(np.median(np.diff(times_s)))
    return Clip(frames, times_s, end_s, wav, rate, start_s)


def write(
    clip: Clip, path: Path, variant: Variant, muxer_options: dict[str, str] | None = None
) -> None:
    """Write a clip as a variant."""
    shown = [(t, k) for t, k in _schedule(clip, variant) if t >= variant.video_from_s - 1e-6]
    wav, rate = _resampled(clip, variant.sample_rate or clip.rate)
    skip = max(0, round((variant.audio_from_s - clip.wav_start_s) * rate))
    start_s = clip.wav_start_s + skip / rate
    with av.open(str(path), "w", container_options=muxer_options or {}) as container:
        fps = variant.fps or Fraction(25)
        options = dict(ENCODERS[variant.video])
        if variant.bit_rate:
            options.pop("crf", None)
        video = container.add_stream(variant.video, rate=fps, options=options)
        if variant.bit_rate:
            video.bit_rate = variant.bit_rate
        first = _stored(clip.frames[0], variant)
        video.height, video.width = first.shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = 1 / fps
        if variant.video in ("libx264", "libx265") and path.suffix != ".avi":
            video.codec_context.time_base = Fraction(1, 90000)
        if variant.pixel_ratio:
            video.codec_context.sample_aspect_ratio = variant.pixel_ratio
        audio = container.add_stream(variant.audio, rate=rate, layout="mono")
        if not variant.audio.startswith(("pcm", "flac", "alac")):
            audio.bit_rate = 128_000 if rate >= 32000 else 64_000
        packets = [
            *_video(video, clip, shown, variant),
            *_audio(audio, wav[skip:], start_s, variant),
        ]
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)
    if variant.rotation:
        _set_matrix(path, variant.rotation)


def _schedule(clip: Clip, variant: Variant) -> list[tuple[float, int]]:
    """Return (time, index) of the frames to write.

    At a constant frame rate a frame is the original one on display in the middle of its period.
    """
    if variant.fps is None:
        shown = list(zip(clip.times_s.tolist(), range(len(clip.frames)), strict=True))
    else:
        first_s = float(clip.times_s[0])
        starts = first_s + np.arange(round((clip.end_s - first_s) * variant.fps)) / float(
            variant.fps
        )
        # A small offset, as rounding must not decide where the middle falls on a frame change.
        middles = starts + 0.5 / float(variant.fps) - 1e-6
        index = np.searchsorted(clip.times_s, middles, side="right") - 1
        shown = list(zip(starts.tolist(), index.clip(0).tolist(), strict=True))
    if variant.variable == "held":
        return [shown[i] for i in range(len(shown)) if not i or shown[i][1] != shown[i - 1][1]]
    if variant.variable == "dropped":
        rng = np.random.default_rng(DROP_SEED)
        return [frame for i, frame in enumerate(shown) if not i or rng.random() > 0.25]
    return shown


def _stored(image: np.ndarray, variant: Variant) -> np.ndarray:
    """Resize and rotate an image so that the display aspect and matrix restore it."""
    if variant.pixel_ratio:
        size = (round(image.shape[1] / variant.pixel_ratio / 2) * 2, image.shape[0])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(image, variant.rotation // 90))


def _video(
    stream: av.VideoStream, clip: Clip, shown: list[tuple[float, int]], variant: Variant
) -> Iterator[av.Packet]:
    base = stream.codec_context.time_base
    for time_s, index in shown:
        frame = av.VideoFrame.from_ndarray(_stored(clip.frames[index], variant), "rgb24")
        frame.time_base, frame.pts = base, round((time_s - variant.hidden_s) / base)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _audio(
    stream: av.AudioStream, wav: np.ndarray, start_s: float, variant: Variant
) -> Iterator[av.Packet]:
    rate = stream.sample_rate
    first = round((start_s - variant.hidden_s) * rate)
    for at in range(0, len(wav), BLOCK):
        frame = av.AudioFrame.from_ndarray(wav[None, at : at + BLOCK], "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first + at
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _resampled(clip: Clip, rate: int) -> tuple[np.ndarray, int]:
    if rate == clip.rate:
        return clip.wav, rate
    frame = av.AudioFrame.from_ndarray(clip.wav[None], "fltp", "mono")
    frame.sample_rate = clip.rate
    resampler = av.AudioResampler("fltp", "mono", rate)
    blocks = [out.to_ndarray()[0] for block in (frame, None) for out in resampler.resample(block)]
    return np.ascontiguousarray(np.concatenate(blocks)), rate


def _set_matrix(path: Path, rotation: int) -> None:
    # PyAV does not write a display matrix: it is patched into the header of the first track.
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in MATRICES[rotation])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
