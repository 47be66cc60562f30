"""Frames of a file by presentation time, streaming: upright RGB, and a steady clock over them."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from heapq import heappop, heappush
from itertools import chain
from math import floor, inf
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame as DecodedFrame
from av.video.reformatter import Interpolation, VideoReformatter

from avsync.media.container import MAX_GAP_S, MAX_PIXELS, decoded, open_media, video_stream
from avsync.media.container import UnreadableMedia as UnreadableMedia
from avsync.media.prefetch import ahead
from avsync.timing import FPS

# Frames decoded ahead of the caller.
AHEAD = 4
# Frames that change this close to the middle of a tick share it: 50 and 100 fps always do, 30 fps
# at every fifth tick.
BLEND_S = 0.004
# Gaps between frames whose (lower) median is how long one is usually shown.
RECENT_GAPS = 15
# Nobody's lips can be read from a frame that stands for longer than this. It also bounds what a
# damaged clock can cost: a clip of 3 s stretched to a minute is half a minute's work.
HELD_S = 0.5
# How many places a frame of AVI may be stored from where it is shown.
MAX_REORDER = 4
# Anamorphic video has pixels twice as wide as high.
MAX_PIXEL_RATIO = 4.0
# Frames later than this after the first have broken timestamps.
MAX_LENGTH_S = 100 * 3600.0


class VideoFrame(NamedTuple):
    """An upright frame `(H, W, 3)` RGB uint8, and when it is shown on the file's clock."""

    time_s: float
    image: np.ndarray


class Tick(NamedTuple):
    """Tick `index` of a steady clock; `time_s` = index / fps counts from the first frame.

    Ticks without a new frame share the `image` of the one before: copy it before writing to it.
    """

    index: int  # type: ignore[assignment]
    time_s: float
    image: np.ndarray


def read_frames(path: str | os.PathLike[str], max_side: int | None = None) -> Iterator[VideoFrame]:
    """Yield the frames of a video in presentation order, decoded by a thread a little ahead.

    Damaged frames are left out, and a truncated file ends where it breaks. Where there is no
    frame at all, the first step raises UnreadableMedia. Times only rise: a frame dated before
    the one it follows is left out.

    Args:
        path: a media file.
        max_side: the most pixels of the images' longer side; larger ones are scaled down to it.
    """
    if max_side is not None and max_side < 2:
        raise ValueError(f"max_side must be at least 2 pixels, got {max_side}")
    return ahead(_frames(path, max_side), AHEAD)


def at_rate(frames: Iterable[VideoFrame], fps: float = FPS) -> Iterator[Tick]:
    """Yield a Tick every 1/fps seconds of the video, each with the frame its middle shows.

    Where frames change within `BLEND_S` of that middle, as they do at every tick of 50 fps, the
    two are blended: taking either one would date everything half a display time wrong. A frame
    on display for longer than `HELD_S` is gone from then on: its ticks are left out.
    """
    if not fps > 0:
        raise ValueError(f"fps must be positive, got {fps}")
    index = 0
    spans = _spans(frames, 1 / fps)
    before: np.ndarray | None = None
    first_s: float | None = None
    for image, from_s, until_s in spans:
        first_s = from_s if first_s is None else first_s
        while (middle_s := first_s + (index + 0.5) / fps) <= until_s - BLEND_S:
            if middle_s - from_s > HELD_S:
                last = floor((until_s - BLEND_S - first_s) * fps - 0.5)
                index = max(index, last) + 1
                break
            share = (middle_s + BLEND_S - from_s) / (2 * BLEND_S)
            yield Tick(index, index / fps, _blend(before, image, share))
            index += 1
        before = image


class _Span(NamedTuple):
    image: np.ndarray
    from_s: float
    until_s: float


def _spans(frames: Iterable[VideoFrame], tick_s: float) -> Iterator[_Span]:
    """From when until when each frame stands for what was there.

    That is while it is on display, except where frames are missing: the one before the gap was
    not taken later for being shown longer. The gap is shared, but a frame comes at most one
    usual display time early, for scenes may just have stood still.
    """
    gaps: deque[float] = deque(maxlen=RECENT_GAPS)
    shown: VideoFrame | None = None
    from_s = 0.0
    for frame in frames:
        if shown is None:
            shown, from_s = frame, frame.time_s
            continue
        gaps.append(frame.time_s - shown.time_s)
        usual_s = sorted(gaps)[(len(gaps) - 1) // 2]
        until_s = frame.time_s - min((gaps[-1] - usual_s) / 2, usual_s)
        yield _Span(shown.image, from_s, until_s)
        shown, from_s = frame, until_s
    if shown is not None:
        stays_s = min(gaps[-1], tick_s) if gaps else tick_s
        yield _Span(shown.image, from_s, shown.time_s + max(stays_s, tick_s / 2) + BLEND_S)


def _blend(before: np.ndarray | None, image: np.ndarray, share: float) -> np.ndarray:
    """Return a share of this frame over the one before it; all of it where that is 1 or more."""
    if before is None or share >= 1 or before.shape != image.shape:
        return image
    return cv2.addWeighted(before, 1 - share, image, share, 0)


class Turn(NamedTuple):
    """Brings a stored frame upright: mirrors it top to bottom, then turns it clockwise."""

    rotation: int = 0
    flip: bool = False

    @classmethod
    def of(cls, frame: DecodedFrame) -> "Turn":
        """Read a frame's display matrix, rounded to right angles."""
        try:
            matrix = np.frombuffer(cast(Any, frame.side_data)["DISPLAYMATRIX"], np.int32)[:5]
        except KeyError:
            return cls()
        a, b, _, c, d = (float(value) for value in matrix)
        flip = a * d - b * c < 0
        # The matrix maps a frame's x axis to (a, b), with y pointing down: a turn clockwise.
        angle = np.degrees(np.arctan2(b, a))
        return cls(round(angle / 90) % 4 * 90, flip)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the upright frame."""
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Map a stored image `(H, W, 3)` to the upright one, contiguous."""
        if self.flip:
            image = image[::-1]
        return np.ascontiguousarray(np.rot90(image, -self.rotation // 90))


def decoded_frames(
    container: InputContainer, stream: av.VideoStream
) -> Iterator[tuple[float, DecodedFrame]]:
    """Yield times in seconds on the file's clock, rising, and decoded frames: one at least."""
    given_s, last_s = -inf, inf
    held: tuple[float, DecodedFrame] | None = None
    for time_s, frame in _dated(container, stream):
        if not given_s < time_s < last_s:
            continue
        if held is not None and time_s > held[0] + MAX_GAP_S:
            if given_s == -inf:  # One of the first two is broken: the third will tell.
                held = time_s, frame
            continue
        # One damaged timestamp must not swallow the rest: of two frames out of order the later
        # dated is left out.
        if held is not None and held[0] < time_s:
            given_s, last_s = held[0], min(last_s, held[0] + MAX_LENGTH_S)
            yield held
        held = time_s, frame
    if held is not None:
        yield held
    else:
        cause = "no frame of the video could be decoded"
        if not stream.codec_context.width:  # FFmpeg forgets a size that it refuses.
            cause += f"; the size is unknown or beyond {MAX_PIXELS // 10**6} megapixels"
        raise UnreadableMedia("damaged", cause)


def pixel_ratio(stream: av.VideoStream) -> float:
    """Width over height of a stored pixel as shown; 1 where a file has none or a mad one."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / MAX_PIXEL_RATIO <= ratio <= MAX_PIXEL_RATIO else 1.0


def _dated(
    container: InputContainer, stream: av.VideoStream
) -> Iterator[tuple[float, DecodedFrame]]:
    """Yield frames in order with their times in seconds.

    AVI dates packets only, in the order they are stored: the n-th frame gets the n-th of those
    dates. What has no date at all follows the one before at the stream's rate.
    """
    pace_s = float(1 / (stream.guessed_rate or stream.average_rate or FPS))
    reorder = MAX_REORDER if container.format.name == "avi" else 0
    waiting: deque[DecodedFrame] = deque()
    stamps: list[float] = []
    last_s = -pace_s
    for frame in chain(decoded(container, stream), [None]):
        if frame is not None:
            waiting.append(frame)
            stamp = frame.pts if frame.pts is not None else frame.dts
            base = frame.time_base or stream.time_base
            if stamp is not None and base is not None:
                heappush(stamps, float(stamp * base))
        while len(waiting) > (0 if frame is None else reorder):
            last_s = heappop(stamps) if len(stamps) >= len(waiting) else last_s + pace_s
            yield last_s, waiting.popleft()


def read_decoded(
    path: str | os.PathLike[str], max_side: int | None = None
) -> Generator["DecodedVideoFrame"]:
    """Yield the frames of a video in presentation order as the decoder gives them.

    For who needs their YUV planes, or RGB of some of them only: decoding is not done ahead. See
    `read_frames`.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        to_rgb = Converter(pixel_ratio(stream), max_side)
        for time_s, frame in decoded_frames(container, stream):
            yield DecodedVideoFrame(time_s, frame, to_rgb)


def _frames(path: str | os.PathLike[str], max_side: int | None) -> Generator[VideoFrame]:
    with closing(read_decoded(path, max_side)) as frames:
        for frame in frames:
            yield VideoFrame(frame.time_s, frame.rgb())


class DecodedVideoFrame(NamedTuple):
    """A frame as it was decoded, and when it is shown on the file's clock."""

    time_s: float
    frame: DecodedFrame
    to_rgb: "Converter"

    def rgb(self) -> np.ndarray:
        """Return the upright image `(H, W, 3)` RGB uint8, of the size of the first one converted."""
        return self.to_rgb(self.frame)


class Converter:
    """Decoded frames to upright RGB of one shape: the first frame's size and turn hold for all.

    Args:
        ratio: width of a stored pixel over its height.
        max_side: the most pixels of the longer side.
    """

    def __init__(self, ratio: float = 1.0, max_side: int | None = None) -> None:
        self.ratio = ratio
        self.max_side = max_side
        self.scaler = VideoReformatter()
        self.size: tuple[int, int] | None = None
        self.turn = Turn()

    def __call__(self, frame: DecodedFrame) -> np.ndarray:
        if self.size is None:
            self.turn = Turn.of(frame)
            self.size = _fit(round(self.ratio * frame.width), frame.height, self.max_side)
        width, height = self.size
        # The fast scaler looks at two pixels of a line: below half the size it would skip some.
        fast = 2 * width >= frame.width
        how = Interpolation.FAST_BILINEAR if fast else Interpolation.AREA
        # One thread: the decoder's threads already fill the cores.
        try:
            rgb = self.scaler.reformat(frame, width, height, "rgb24", interpolation=how, threads=1)
        except (av.error.FFmpegError, ValueError) as error:
            cause = f"frames of format {frame.format.name} cannot be converted"
            raise UnreadableMedia("damaged", cause) from error
        return self.turn.apply(rgb.to_ndarray())


def _fit(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    scale = min(1.0, (max_side or max(width, height)) / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
