"""Read the frames of a file as a stream: upright RGB by presentation time, or at a constant rate.

Timestamp quirks handled here: AVI, whose packets have decoding times only (`_frames_with_times`);
frames without or with damaged timestamps (`decode_video_frames`); variable frame rates and gaps
(`at_rate`). `clock.py` follows discontinuities of the clock, `rgb_converter.py` display matrices.
"""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from heapq import heappop, heappush
from itertools import chain
from math import floor, inf
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame as DecodedFrame

from avsync.media.container import (
    MAX_GAP_S,
    MAX_LENGTH_S,
    MAX_PIXELS,
    decoded,
    open_media,
    video_stream,
)
from avsync.media.container import UnreadableMedia as UnreadableMedia
from avsync.media.prefetch import prefetch
from avsync.media.read_log import ReadLog, VideoProgress
from avsync.media.rgb_converter import RgbConverter as RgbConverter
from avsync.media.rgb_converter import Rotation as Rotation
from avsync.media.rgb_converter import pixel_ratio as pixel_ratio
from avsync.media.timestamps.continuous_clock import ContinuousClock
from avsync.timing import FPS

# Frames decoded before the caller asks for them.
PREFETCHED_FRAMES = 4
# Frames by which reordering delays the first one.
MAX_MXF_DELAY = 2
# Frames that change this close to the middle of a tick share it: 50 and 100 fps always do, 30 fps
# at every fifth tick.
BLEND_S = 0.004
# Number of recent frame intervals whose lower median is the usual display time.
RECENT_GAPS = 15
# Frames held longer than this are treated as missing. It also bounds the cost of a damaged clock:
# a clip of 3 s stretched to a minute.
HELD_S = 0.5
# Largest reordering of AVI frames between decoding and presentation.
MAX_REORDER = 4
# A decoder holds at most this many frames (ITU-T H.264, A.3.1): times that differ by more from the
# decoding time are damaged.
MAX_DECODED_FRAMES = 16


class VideoFrame(NamedTuple):
    """An upright frame `(H, W, 3)` RGB uint8 and its presentation time on the file's clock."""

    time_s: float
    image: np.ndarray


class Tick(NamedTuple):
    """A frame at a constant rate: `time_s` = index / fps, from the first frame.

    Ticks without a new frame share the `image` of the previous one: copy it before writing to it.
    """

    index: int  # type: ignore[assignment]
    time_s: float
    image: np.ndarray


def read_frames(
    path: str | os.PathLike[str],
    max_side: int | None = None,
    stream: int = 0,
    log: ReadLog | None = None,
) -> Iterator[VideoFrame]:
    """Yield the frames of a video in presentation order, prefetched by a thread.

    Damaged frames are dropped, and a truncated file ends where it breaks off. Times increase: a
    frame with a timestamp before that of the previous frame is dropped.

    Args:
        path: a media file.
        max_side: largest longer side of the images, in pixels; larger frames are scaled down.
        stream: position among the video streams without cover art, from 0 (`MediaInfo.videos`).
        log: filled while frames are read, complete after the last one.

    Raises:
        UnreadableMedia: at the first step, if no frame can be decoded.
        ValueError: at the first step, if there is no such stream.
    """
    if max_side is not None and max_side < 2:
        raise ValueError(f"max_side must be at least 2 pixels, got {max_side}")
    return prefetch(_frames(path, max_side, stream, log), PREFETCHED_FRAMES)


def at_rate(frames: Iterable[VideoFrame], fps: float = FPS) -> Iterator[Tick]:
    """Yield one `Tick` every 1/fps seconds, with the frame on display at the middle of the tick.

    If the frame changes within `BLEND_S` of the middle, as it does at every tick of 50 fps, the two
    are blended: either one alone would shift all times by half a display time. A frame on display
    for longer than `HELD_S` counts as missing from then on: its ticks are dropped.
    """
    if not fps > 0:
        raise ValueError(f"fps must be positive, got {fps}")
    index = 0
    segments = _display_segments(frames, 1 / fps)
    before: np.ndarray | None = None
    first_s: float | None = None
    for image, from_s, until_s in segments:
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


class _DisplaySegment(NamedTuple):
    image: np.ndarray
    from_s: float
    until_s: float


def _display_segments(frames: Iterable[VideoFrame], tick_s: float) -> Iterator[_DisplaySegment]:
    """Yield each frame with the time segment that it represents.

    That is its display time, except at gaps: the frame before a gap was not captured later because
    it is displayed longer. The gap is split in half, but a frame starts at most one usual display
    time early, because the scene may just have been static.
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
        yield _DisplaySegment(shown.image, from_s, until_s)
        shown, from_s = frame, until_s
    if shown is not None:
        stays_s = min(gaps[-1], tick_s) if gaps else tick_s
        yield _DisplaySegment(
            shown.image, from_s, shown.time_s + max(stays_s, tick_s / 2) + BLEND_S
        )


def _blend(before: np.ndarray | None, image: np.ndarray, share: float) -> np.ndarray:
    """Blend this frame over the previous one; a share of 1 or more is this frame alone."""
    if before is None or share >= 1 or before.shape != image.shape:
        return image
    return cv2.addWeighted(before, 1 - share, image, share, 0)


def decode_video_frames(
    container: InputContainer,
    stream: av.VideoStream,
    source: Iterator[av.Packet | None] | None = None,
) -> Iterator[tuple[float, DecodedFrame]]:
    """Yield decoded frames with their times, increasing, in seconds on the file's clock.

    Args:
        container: the file.
        stream: one of its video streams.
        source: the stream's packets; by default all of them, on a continuous clock.

    Raises:
        UnreadableMedia: if no frame can be decoded.
    """
    given_s, last_s = -inf, inf
    held: tuple[float, DecodedFrame] | None = None
    source = ContinuousClock(container, stream).packets() if source is None else source
    for time_s, frame in _frames_with_times(container, stream, source):
        if not given_s < time_s < last_s:
            continue
        if held is not None and time_s > held[0] + MAX_GAP_S:
            if given_s == -inf:  # One of the first two is wrong: the third decides which.
                held = time_s, frame
            continue
        # One damaged timestamp must not drop all later frames: of two frames out of order, the one
        # with the later timestamp is dropped.
        if held is not None and held[0] < time_s:
            given_s, last_s = held[0], min(last_s, held[0] + MAX_LENGTH_S)
            yield held
        held = time_s, frame
    if held is not None:
        yield held
    else:
        cause = "no frame of the video could be decoded"
        if not stream.codec_context.width:  # FFmpeg does not keep a size that it refuses.
            cause += f"; the size is unknown or beyond {MAX_PIXELS // 10**6} megapixels"
        raise UnreadableMedia("damaged", cause)


def _frames_with_times(
    container: InputContainer, stream: av.VideoStream, source: Iterator[av.Packet | None]
) -> Iterator[tuple[float, DecodedFrame]]:
    """Yield frames in order with their times in seconds.

    AVI packets have decoding timestamps only: the n-th frame gets the n-th smallest of those.
    Frames without any timestamp follow the previous one at the stream's rate. In an MXF without an
    index FFmpeg makes presentation times of decoding times, a frame late.
    """
    pace_s = usual_interval_s(stream)
    reorder = MAX_REORDER if container.format.name == "avi" else 0
    waiting: deque[DecodedFrame] = deque()
    stamps: list[float] = []
    last_s = -pace_s
    late: int | None = None
    for frame in chain(decoded(source, stream), [None]):
        if frame is not None:
            waiting.append(frame)
            stamp = frame.pts if frame.pts is not None else frame.dts
            base = frame.time_base or stream.time_base
            if stamp is not None and base is not None:
                if reorder and frame.dts is not None:
                    # One damaged time would move all later frames to their successors' times.
                    damaged = abs(stamp - frame.dts) * base > MAX_DECODED_FRAMES * pace_s
                    stamp = frame.dts if damaged else stamp
                late = _mxf_delay(container, stream, stamp) if late is None else late
                heappush(stamps, float((stamp - late) * base))
        while len(waiting) > (0 if frame is None else reorder):
            last_s = heappop(stamps) if len(stamps) >= len(waiting) else last_s + pace_s
            yield last_s, waiting.popleft()


def _mxf_delay(container: InputContainer, stream: av.VideoStream, first: int) -> int:
    """Return by how much the times of an MXF are late, given that of the first frame that is read.

    All tracks of an MXF start at edit unit 0 (SMPTE 377), which is the stream's start time.
    """
    if container.format.name != "mxf" or stream.start_time is None:
        return 0
    late = first - stream.start_time
    return late if 0 < late <= MAX_MXF_DELAY else 0


def usual_interval_s(stream: av.VideoStream) -> float:
    """Return the time between two frames by the header, in seconds."""
    return float(1 / (stream.guessed_rate or stream.average_rate or FPS))


def read_decoded_frames(
    path: str | os.PathLike[str],
    max_side: int | None = None,
    stream: int = 0,
    log: ReadLog | None = None,
) -> Generator["DecodedVideoFrame"]:
    """Yield the frames of a video in presentation order as decoded, without conversion to RGB.

    For callers that need YUV data, or RGB of a few frames only; not prefetched. See `read_frames`
    for arguments and errors.
    """
    with open_media(path) as container:
        video = video_stream(container, stream)
        to_rgb = RgbConverter(pixel_ratio(video), max_side)
        clock = ContinuousClock(container, video)
        progress = VideoProgress(log or ReadLog(), clock.jumps, usual_interval_s(video))
        source = progress.watch(clock.packets()) if log is not None else clock.packets()
        for time_s, frame in decode_video_frames(container, video, source):
            progress.on_frame(time_s)
            yield DecodedVideoFrame(time_s, frame, to_rgb)
        if log is not None:
            progress.on_end(clock.expected_end_s(video))
            log.unread_bytes = clock.unread_bytes()


def _frames(
    path: str | os.PathLike[str], max_side: int | None, stream: int, log: ReadLog | None
) -> Generator[VideoFrame]:
    with closing(read_decoded_frames(path, max_side, stream, log)) as frames:
        for frame in frames:
            yield VideoFrame(frame.time_s, frame.rgb())


class DecodedVideoFrame(NamedTuple):
    """A decoded frame and its presentation time on the file's clock."""

    time_s: float
    frame: DecodedFrame
    to_rgb: "RgbConverter"

    def rgb(self) -> np.ndarray:
        """Return the upright image `(H, W, 3)` RGB uint8, of the first converted size."""
        return self.to_rgb(self.frame)
