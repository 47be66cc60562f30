"""Pictures of a file by presentation time, streaming: upright RGB, and a steady clock over them."""

import os
from collections.abc import Generator, Iterable, Iterator
from math import inf
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame as DecodedFrame
from av.video.reformatter import Interpolation, VideoReformatter

from avsync.media.ahead import ahead
from avsync.media.container import MAX_GAP_S, MAX_PIXELS, decoded, open_media, video_stream
from avsync.media.container import UnreadableMedia as UnreadableMedia
from avsync.timing import FPS

# Pictures decoded ahead of the caller.
AHEAD = 4


class VideoFrame(NamedTuple):
    """An upright picture `(H, W, 3)` RGB uint8, and when it is shown on the file's clock."""

    time_s: float
    image: np.ndarray


class Tick(NamedTuple):
    """Tick `index` of a steady clock; `time_s` = index / fps counts from the first frame.

    Ticks without a new picture share the `image` of the one before: copy it before writing to it.
    """

    index: int  # type: ignore[assignment]
    time_s: float
    image: np.ndarray


def read_frames(path: str | os.PathLike[str], max_side: int | None = None) -> Iterator[VideoFrame]:
    """Yields the pictures of a video in presentation order, decoded by a thread a little ahead.

    Damaged pictures are left out, and a truncated file ends where it breaks. Where there is no
    picture at all, the first step raises UnreadableMedia. Times only rise: a picture dated before
    the one it follows is left out.

    Args:
        path: a media file.
        max_side: the most pixels of the images' longer side; larger ones are scaled down to it.
    """
    if max_side is not None and max_side < 2:
        raise ValueError(f"max_side must be at least 2 pixels, got {max_side}")
    return ahead(_frames(path, max_side), AHEAD)


def at_rate(frames: Iterable[VideoFrame], fps: float = FPS) -> Iterator[Tick]:
    """Yields a Tick every 1/fps seconds from the first frame to the last, each with the nearest."""
    if not fps > 0:
        raise ValueError(f"fps must be positive, got {fps}")
    index = 0
    first: VideoFrame | None = None
    last: VideoFrame | None = None
    for frame in frames:
        if first is None or last is None:
            first = last = frame
        # Decided once a frame at or after the tick is here; of two equally near the earlier wins.
        while (at := first.time_s + index / fps) <= frame.time_s:
            nearest = last if at - last.time_s <= frame.time_s - at else frame
            yield Tick(index, index / fps, nearest.image)
            index += 1
        last = frame
    # The last frame stays on for a while: half a tick of it may still lie nearest to one.
    if (
        first is not None
        and last is not None
        and index / fps - (last.time_s - first.time_s) < 0.5 / fps
    ):
        yield Tick(index, index / fps, last.image)


class Turn(NamedTuple):
    """Brings a stored picture upright: mirrors it top to bottom, then turns it clockwise."""

    rotation: int = 0
    flip: bool = False

    @classmethod
    def of(cls, frame: DecodedFrame) -> "Turn":
        """Reads a frame's display matrix, rounded to right angles."""
        try:
            matrix = np.frombuffer(cast(Any, frame.side_data)["DISPLAYMATRIX"], np.int32)[:5]
        except KeyError:
            return cls()
        a, b, _, c, d = (float(value) for value in matrix)
        flip = a * d - b * c < 0
        # The matrix maps a picture's x axis to (a, b), with y pointing down: a turn clockwise.
        angle = np.degrees(np.arctan2(b, a))
        return cls(round(angle / 90) % 4 * 90, flip)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Maps a stored image `(H, W, 3)` to the upright one, contiguous."""
        if self.flip:
            image = image[::-1]
        return np.ascontiguousarray(np.rot90(image, -self.rotation // 90))


def decoded_frames(
    container: InputContainer, stream: av.VideoStream
) -> Iterator[tuple[float, DecodedFrame]]:
    """Yields times in seconds on the file's clock, rising, and decoded frames: one at least."""
    given_s = -inf
    held: tuple[float, DecodedFrame] | None = None
    for frame in decoded(container, stream):
        time_s = _time_s(frame, stream, held)
        if time_s <= given_s or (held is not None and time_s > held[0] + MAX_GAP_S):
            continue
        # One damaged timestamp must not swallow the rest: of two frames out of order the later
        # dated is left out.
        if held is not None and held[0] < time_s:
            given_s = held[0]
            yield held
        held = time_s, frame
    if held is not None:
        yield held
    else:
        cause = "no picture of the video could be decoded"
        if not stream.codec_context.width:  # FFmpeg forgets a size that it refuses.
            cause += f"; the size is unknown or beyond {MAX_PIXELS // 10**6} megapixels"
        raise UnreadableMedia("damaged", cause)


def _time_s(
    frame: DecodedFrame, stream: av.VideoStream, before: tuple[float, DecodedFrame] | None
) -> float:
    stamp = frame.pts if frame.pts is not None else frame.dts
    base = frame.time_base or stream.time_base
    if stamp is not None and base is not None:
        return float(stamp * base)
    rate = stream.guessed_rate or stream.average_rate or FPS
    return 0.0 if before is None else before[0] + float(1 / rate)


def _frames(path: str | os.PathLike[str], max_side: int | None) -> Generator[VideoFrame]:
    with open_media(path) as container:
        stream = video_stream(container)
        to_rgb = _Converter(max_side)
        for time_s, frame in decoded_frames(container, stream):
            yield VideoFrame(time_s, to_rgb(frame))


class _Converter:
    """Decoded frames to upright RGB of one shape: the first frame's size and turn hold for all."""

    def __init__(self, max_side: int | None) -> None:
        self.max_side = max_side
        self.scaler = VideoReformatter()
        self.size: tuple[int, int] | None = None
        self.turn = Turn()

    def __call__(self, frame: DecodedFrame) -> np.ndarray:
        if self.size is None:
            self.turn = Turn.of(frame)
            self.size = _fit(frame.width, frame.height, self.max_side)
        width, height = self.size
        # The fast scaler looks at two pixels of a line: below half the size it would skip some.
        fast = 2 * width >= frame.width
        how = Interpolation.FAST_BILINEAR if fast else Interpolation.AREA
        # One thread: the decoder's threads already fill the cores.
        try:
            rgb = self.scaler.reformat(frame, width, height, "rgb24", interpolation=how, threads=1)
        except (av.error.FFmpegError, ValueError) as error:
            cause = f"pictures of format {frame.format.name} cannot be converted"
            raise UnreadableMedia("damaged", cause) from error
        return self.turn.apply(rgb.to_ndarray())


def _fit(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    scale = min(1.0, (max_side or max(width, height)) / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
