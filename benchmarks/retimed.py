"""A clip decoded once and written again: other rates, containers, codecs, starts and turns.

Everything is read and dated with PyAV alone, so that what avsync measures of the written files
does not rest on avsync's own readers.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

# The display matrix of a picture that must be turned clockwise by so many degrees.
MATRICES = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
X264 = {"preset": "veryfast", "crf": "16"}
ENCODERS: dict[str, dict[str, str]] = {
    "libx264": X264,  # With its B-frames: pictures are stored in another order than shown.
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "4M"},
    "mpeg4": {"qscale": "3", "flags": "qscale", "global_quality": "354"},
    "mpeg2video": {"g": "1", "b": "12M"},
}
DROP_SEED = 11
BLOCK = 1024


class Clip(NamedTuple):
    """Pictures `(H, W, 3)` with the times they are shown from and until, and mono sound `(N,)`."""

    pictures: list[np.ndarray]
    times_s: np.ndarray
    end_s: float
    wav: np.ndarray
    rate: int
    wav_start_s: float


class Variant(NamedTuple):
    """How a clip is written.

    `fps` None keeps the pictures' own times. `variable` is `dropped` (every fourth or so of the
    pictures left out) or `held` (pictures that repeat the one before left out). `video_from_s` and
    `audio_from_s` leave out what comes before; `hidden_s` of both is written, but before time 0,
    where an edit list skips it. `squeeze` stores pixels so much wider than high.
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
    squeeze: Fraction | None = None


def load(path: Path) -> Clip:
    """A clip with its first picture or sound at 0 or later, as its timestamps say."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
    times_s = np.array([float(frame.pts * frame.time_base) for frame in frames])
    with av.open(str(path)) as container:
        sounds = list(container.decode(audio=0))
    rate, start_s = sounds[0].sample_rate, float(sounds[0].pts * sounds[0].time_base)
    resampler = av.AudioResampler("fltp", "mono", rate, options={"rematrix_maxval": "1.0"})
    wav = np.concatenate(
        [out.to_ndarray()[0] for s in [*sounds, None] for out in resampler.resample(s)]
    )
    return Clip(
        pictures, times_s, times_s[-1] + float(np.median(np.diff(times_s))), wav, rate, start_s
    )


def write(clip: Clip, path: Path, how: Variant) -> None:
    """Writes the clip as the variant says."""
    shown = [(t, k) for t, k in _schedule(clip, how) if t >= how.video_from_s - 1e-6]
    wav, rate = _resampled(clip, how.sample_rate or clip.rate)
    skip = max(0, round((how.audio_from_s - clip.wav_start_s) * rate))
    start_s = clip.wav_start_s + skip / rate
    with av.open(str(path), "w") as container:
        pace = how.fps or Fraction(25)
        video = container.add_stream(how.video, rate=pace, options=ENCODERS[how.video])
        first = _stored(clip.pictures[0], how)
        video.height, video.width = first.shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = 1 / pace
        if how.video == "libx264" and path.suffix != ".avi":
            video.codec_context.time_base = Fraction(1, 90000)
        if how.squeeze:
            video.codec_context.sample_aspect_ratio = how.squeeze
        sound = container.add_stream(how.audio, rate=rate, layout="mono")
        if not how.audio.startswith(("pcm", "flac", "alac")):
            sound.bit_rate = 128_000 if rate >= 32000 else 64_000
        packets = [*_video(video, clip, shown, how), *_audio(sound, wav[skip:], start_s, how)]
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)
    if how.rotation:
        _set_matrix(path, how.rotation)


def _schedule(clip: Clip, how: Variant) -> list[tuple[float, int]]:
    """When which picture is shown: at a steady rate, the one on display in the middle of each."""
    if how.fps is None:
        shown = list(zip(clip.times_s.tolist(), range(len(clip.pictures)), strict=True))
    else:
        begin_s = float(clip.times_s[0])
        starts = begin_s + np.arange(round((clip.end_s - begin_s) * how.fps)) / float(how.fps)
        # Where that middle falls on a change of pictures, rounding must not choose.
        middles = starts + 0.5 / float(how.fps) - 1e-6
        index = np.searchsorted(clip.times_s, middles, side="right") - 1
        shown = list(zip(starts.tolist(), index.clip(0).tolist(), strict=True))
    if how.variable == "held":
        return [shown[i] for i in range(len(shown)) if not i or shown[i][1] != shown[i - 1][1]]
    if how.variable == "dropped":
        rng = np.random.default_rng(DROP_SEED)
        return [each for i, each in enumerate(shown) if not i or rng.random() > 0.25]
    return shown


def _stored(picture: np.ndarray, how: Variant) -> np.ndarray:
    if how.squeeze:
        size = (round(picture.shape[1] / how.squeeze / 2) * 2, picture.shape[0])
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.rot90(picture, how.rotation // 90))


def _video(
    stream: av.VideoStream, clip: Clip, shown: list[tuple[float, int]], how: Variant
) -> Iterator[av.Packet]:
    base = stream.codec_context.time_base
    for time_s, number in shown:
        frame = av.VideoFrame.from_ndarray(_stored(clip.pictures[number], how), "rgb24")
        frame.time_base, frame.pts = base, round((time_s - how.hidden_s) / base)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _audio(
    stream: av.AudioStream, wav: np.ndarray, start_s: float, how: Variant
) -> Iterator[av.Packet]:
    rate = stream.sample_rate
    first = round((start_s - how.hidden_s) * rate)
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
    blocks = [out.to_ndarray()[0] for each in (frame, None) for out in resampler.resample(each)]
    return np.ascontiguousarray(np.concatenate(blocks)), rate


def _set_matrix(path: Path, rotation: int) -> None:
    # PyAV writes no display matrix: it is put into the first track's header by hand.
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in MATRICES[rotation])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
