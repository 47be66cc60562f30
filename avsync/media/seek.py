"""Read the frames and the audio around given times of a file, by seeking.

Times are those of the other readers. A file whose clock has discontinuities cannot be sought by
its own times: it is read through once for an index of its packets (`_ClockIndex`).
"""

import os
import time
from bisect import bisect
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from math import inf
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream

from avsync.media.audio_runs import check_channel, is_valid_audio
from avsync.media.container import (
    UnreadableMedia,
    audio_stream,
    decoded,
    ffmpeg_message,
    open_media,
    packets,
    read_only,
    video_stream,
)
from avsync.media.read_log import ReadLog
from avsync.media.rgb_converter import RgbConverter, pixel_ratio
from avsync.media.timestamps.continuous_clock import ContinuousClock, can_leap
from avsync.media.timestamps.packet_times import decoding_stamp, move, presentation_stamp
from avsync.media.valid_samples import SampleCheck
from avsync.media.video_reader import HELD_S, VideoFrame, decode_video_frames

# Some containers seek past the requested time: then retry, this much earlier.
LEADS_S = (0.0, 1.0, 4.0, 12.0)
# Tolerance for float times and coarse time bases.
CLOSE_S = 0.005
# A seek has reached a range if the first frame comes no later than this after its start.
LATE_S = 0.1
# Audio is read from this much earlier: after a seek the first packet may be incomplete.
AUDIO_LEAD_S = 0.3
# Containers in which reading can start at any byte. Others are read from their beginning to the
# sought packet if their clock has discontinuities, without decoding.
BYTE_SEEKABLE = ("mpegts", "mpeg")
# Packets to seek to are at least this far apart.
POINT_STEP_S = 0.5
# A stream may have no packets in the segments between.
NEXT_SEGMENTS = 8


class VideoSeeker:
    """Read frames of a video at given times, upright and in RGB; a context manager.

    Times are seconds on the file's clock. `first_s` is the time of the first frame.

    Args:
        path: a media file.
        deadline_s: no frame is decoded once `time.monotonic()` is past this.
        stream: position among the video streams without cover art, from 0.

    Raises:
        UnreadableMedia: if the file is missing, has no video, or none that can be decoded.
    """

    def __init__(
        self, path: str | os.PathLike[str], deadline_s: float = inf, stream: int = 0
    ) -> None:
        self.path, self.deadline_s, self.stream = path, deadline_s, stream
        self._container = open_media(path)
        try:
            self._stream = video_stream(self._container, stream)
            self.first_s, _ = next(decode_video_frames(self._container, self._stream))
            self._clock = _clock_index(path, self._stream)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> "VideoSeeker":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frame_at(self, time_s: float) -> np.ndarray | None:
        """Return the frame `(H, W, 3)` uint8 on display at a time.

        None if there is none or the deadline has passed.
        """
        for lead_s in LEADS_S:
            shown = None
            try:
                source = self._clock.packets_from(self._container, self._stream, time_s - lead_s)
                for shown_s, frame in decode_video_frames(self._container, self._stream, source):
                    if time.monotonic() > self.deadline_s:
                        return None
                    if shown_s > time_s + CLOSE_S:
                        break
                    shown = shown_s, frame
            except UnreadableMedia:
                continue  # Nothing can be decoded from there on.
            if shown is not None and time_s - shown[0] < HELD_S:
                return RgbConverter(pixel_ratio(self._stream))(shown[1])
        return None

    def frames_in(
        self, start_s: float, duration_s: float, min_gap_s: float = 0.0
    ) -> Iterator[VideoFrame]:
        """Yield the frames whose presentation time is in `[start_s, start_s + duration_s)`.

        Ends early when the deadline passes.

        Args:
            start_s: seconds on the file's clock.
            duration_s: length of the range, in seconds.
            min_gap_s: frames closer than this to the previous one are skipped.

        Raises:
            UnreadableMedia: if nothing can be decoded.
        """
        for lead_s in LEADS_S:
            with open_media(self.path) as container:
                stream = video_stream(container, self.stream)
                to_rgb = RgbConverter(pixel_ratio(stream))
                source = self._clock.packets_from(container, stream, start_s - lead_s)
                begun, given_s = False, -inf
                try:
                    for time_s, frame in decode_video_frames(container, stream, source):
                        late = not begun and time_s > max(start_s, 0) + LATE_S
                        if late and lead_s != LEADS_S[-1]:
                            break
                        begun, at_s = True, time_s - start_s
                        if at_s >= duration_s or time.monotonic() > self.deadline_s:
                            break
                        if at_s >= 0 and at_s - given_s >= min_gap_s:
                            given_s = at_s
                            yield VideoFrame(time_s, to_rgb(frame))
                except UnreadableMedia:
                    # Nothing can be decoded from there on: read from further before.
                    if begun or lead_s == LEADS_S[-1]:
                        raise
                if begun:
                    return


class AudioSeeker:
    """Read the audio of a file from given times on, mixed to mono; a context manager.

    Times are seconds on the file's clock. `rate` is the sample rate of the file.

    Args:
        path: a media file.
        stream: position among the audio streams, from 0.
        channel: read this channel of the stream, from 0, instead of mixing (`channel_names`).

    Raises:
        UnreadableMedia: if the file is missing or has no audio.
        ValueError: if there is no such stream or channel.
    """

    def __init__(
        self, path: str | os.PathLike[str], stream: int = 0, channel: int | None = None
    ) -> None:
        self._container = open_media(path)
        self.channel = channel
        try:
            self._stream = audio_stream(self._container, stream)
            check_channel(channel, self._stream.layout)
            self._clock = _clock_index(path, self._stream)
        except BaseException:
            self._container.close()
            raise
        self.rate = int(self._stream.rate)

    def __enter__(self) -> "AudioSeeker":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def blocks_from(
        self, start_s: float, rate: int | None = None
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Yield start times and samples `(n,)` float32 of blocks, from shortly before a time on.

        Damaged packets are gaps. Ends at a block without a timestamp.

        Args:
            start_s: seconds on the file's clock.
            rate: sample rate; by default the file's own.
        """
        lead_s = max(start_s - AUDIO_LEAD_S, 0)
        source = self._clock.packets_from(self._container, self._stream, lead_s)
        # Packed format: PyAV 18 crashes on frames with more than seven planes.
        sample_format, layout = "fltp", "mono"
        if self.channel is not None:
            sample_format, layout = "flt", self._stream.layout.name
        resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate or self.rate)
        for frame in filter(is_valid_audio, decoded(source, self._stream)):
            if frame.pts is None or frame.time_base is None:
                return
            SampleCheck(frame, ReadLog())(frame)
            for mono in resampler.resample(frame):
                if mono.pts is not None and mono.time_base is not None:
                    wav = mono.to_ndarray().reshape(-1, mono.layout.nb_channels)
                    yield float(mono.pts * mono.time_base), wav[:, self.channel or 0]


class _SeekPoint(NamedTuple):
    """A packet from which decoding can start, at a time on the continuous clock.

    Args:
        time_s: presentation time.
        segment: segment of the clock.
        position: byte position in the file; None if the container does not say.
        number: number of the packet in its stream.
    """

    time_s: float
    segment: int
    position: int | None
    number: int


class _ClockIndex:
    """Where to start reading in a file whose clock has discontinuities; empty if it has none.

    Args:
        path: the file.
        offsets: in each segment, the offset of the continuous clock from the file's.
        points: the packets of the stream that can be sought, in order of time.
    """

    def __init__(self, path: str, offsets: list[Fraction], points: list[_SeekPoint]) -> None:
        self.path, self.offsets, self.points = path, offsets, points

    def packets_from(
        self, container: InputContainer, stream: Stream, time_s: float
    ) -> Iterator[av.Packet | None]:
        """Seek, and return the packets of a stream from about a time on its continuous clock."""
        read_only(container, stream)
        points = self.points
        if not points:
            _seek(container, int(time_s * av.time_base))
            return packets(container, stream)
        point = points[max(bisect(points, time_s, key=lambda point: point.time_s) - 1, 0)]
        if container.format.name in BYTE_SEEKABLE and point.position is not None:
            _seek(container, point.position, by_bytes=True)
            return self._on_clock(packets(container, stream), stream, point)
        stream.codec_context.flush_buffers()
        return self._from_start(stream, point)

    def _on_clock(
        self, source: Iterator[av.Packet | None], stream: Stream, point: _SeekPoint
    ) -> Iterator[av.Packet | None]:
        base, segment, last_s = stream.time_base or Fraction(1), point.segment, point.time_s
        for packet in source:
            stamp = None if packet is None else decoding_stamp(packet)
            if packet is not None and stamp is not None:
                near = enumerate(self.offsets[segment : segment + NEXT_SEGMENTS], segment)
                away = {n: abs(float(stamp * base + offset) - last_s) for n, offset in near}
                segment = min(away, key=away.__getitem__)
                last_s = float(stamp * base + self.offsets[segment])
                move(packet, self.offsets[segment], base)
            yield packet

    def _from_start(self, stream: Stream, point: _SeekPoint) -> Iterator[av.Packet | None]:
        with open_media(self.path) as again:
            clock = ContinuousClock(again, again.streams[stream.index])
            yield from islice(clock.packets(), point.number, None)


def _clock_index(path: str | os.PathLike[str], stream: Stream) -> _ClockIndex:
    """Return the index of a stream, which is read through once if its clock can leap."""
    state = Path(path).stat()
    return _read_clock_index(os.fspath(path), stream.index, state.st_size, state.st_mtime_ns)


# Reports seek in one file several times; size and time of change tell its versions apart.
@lru_cache(maxsize=32)
def _read_clock_index(path: str, index: int, size: int, modified_ns: int) -> _ClockIndex:
    with open_media(path) as container:
        if not can_leap(container):
            return _ClockIndex(path, [Fraction(0)], [])
        stream = container.streams[index]
        clock = ContinuousClock(container, stream)
        points: list[_SeekPoint] = []
        for number, packet in enumerate(clock.packets()):
            if packet is None or decoding_stamp(packet) is None:
                continue
            time_s = float(presentation_stamp(packet) * packet.time_base)
            if packet.is_keyframe and (not points or time_s >= points[-1].time_s + POINT_STEP_S):
                points.append(_SeekPoint(time_s, clock.segment_of(stream), packet.pos, number))
        return _ClockIndex(path, clock.offsets, points if clock.jumps else [])


def _seek(container: InputContainer, target: int, by_bytes: bool = False) -> None:
    """Seek to the key frame at or before a time in microseconds, or to a byte position."""
    try:
        container.seek(target, backward=True, unsupported_byte_offset=by_bytes)
    except (av.error.FFmpegError, OSError, OverflowError) as error:
        raise UnreadableMedia(
            "damaged", f"seeking in the file failed: {ffmpeg_message(error)}"
        ) from error
