"""Follow discontinuities of a file's clock: joined recordings, restarted encoders, lost signal.

Players go on at a discontinuity: the time continues. So do all readers, by one map from the file's
clock to a continuous one, which depends on the order of the packets in the file only:

- A discontinuity is a decoding time that goes back by more than a second against the previous one
  of its stream or, in containers whose clock may leap (MPEG-TS, MPEG-PS, Ogg), forward by more than
  ten seconds against all streams, and from which the stream does not return at once. FFmpeg's
  command has the same ten seconds (`-dts_delta_threshold`). A stream that leaps alone keeps its
  times.
- There a new segment begins. Its earliest presentation time follows the latest end before. Every
  stream enters it where its own times get closer to the new segment than to the old one.
- Within a segment, times differ from the file's by a constant, the same for all streams: the offset
  between audio and video is that of the file. In the first segment the constant is zero.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream

from avsync.media.container import MAX_LENGTH_S, motion_video_streams, packets, read_only
from avsync.media.read_log import ClockJump
from avsync.media.timestamps.packet_times import (
    bytes_after_movie,
    decoding_stamp,
    header_end_s,
    move,
)
from avsync.media.timestamps.ts_programs import stream_programs

# Containers in which several recordings can follow each other, and those of them whose clock may
# leap forward: in MPEG-TS and MPEG-PS, presentation times lie at most 0.7 s apart (ISO 13818-1,
# 2.7.4); in the others a long frame or a pause is valid.
LEAPING = ("mpegts", "mpeg", "flv", "live_flv", "matroska,webm", "ogg")
# Headers of these do not say when the streams end; FFmpeg estimates it from the last packets.
END_AT_PACKETS = ("mpegts", "mpeg")
LEAPING_FORWARD = ("mpegts", "mpeg", "live_flv", "ogg")
BACK_S, FORWARD_S = 1.0, 10.0
# How far packets are read past a discontinuity: streams are interleaved more closely.
WINDOW_S, WINDOW_PACKETS, WINDOW_BYTES = 5.0, 4000, 1 << 26
# A stream that returns to the old clock within this did not leap: a packet of MPEG-TS may hold
# almost a second of audio with one damaged timestamp.
CONFIRM_S = 2.0
# A stream that continues for longer than this on the old clock does not take part in the leap.
STAYS_S = 4.0
END: Any = object()


def can_leap(container: InputContainer) -> bool:
    """Return whether the clock of a container can have discontinuities."""
    if container.format.name.startswith("mov,"):
        # Fragments have decoding times of their own; without them the index has none to leap.
        return not any(stream.frames for stream in container.streams)
    return container.format.name in LEAPING


@dataclass
class _Stream:
    """State of a stream: where its clock is. Times of the file, but for `end`."""

    base: Fraction
    audiovisual: bool
    base_s: float = 0.0
    max_reorder: int = 0
    last_s: float | None = None
    settled: bool = False
    segment: int = 0
    end: int | None = None

    def __post_init__(self) -> None:
        self.base_s, self.max_reorder = float(self.base), int(FORWARD_S / self.base)

    def time_s(self, packet: av.Packet) -> float | None:
        stamp = decoding_stamp(packet)
        return None if stamp is None else stamp * self.base_s

    def start_of(self, packet: av.Packet) -> int:
        pts, dts = packet.pts, packet.dts
        if pts is None or dts is None:
            return pts or dts or 0
        # Frames are not reordered by this much: the presentation time is damaged.
        return pts if abs(pts - dts) <= self.max_reorder else dts

    def end_of(self, packet: av.Packet) -> int:
        return self.start_of(packet) + (packet.duration or 0)


@dataclass
class _Leap:
    """What the packets after a leap say.

    Args:
        last_s: the latest time of the leaping stream.
        starts: presentation times on the new clock.
        ends: ends of packets that are still on the old one, on the continuous clock.
        entered: the streams that have entered the new clock.
        confirmed: the leaping stream goes on from there.
        damaged: it returns to the old clock.
        alone: another stream stays on the old clock.
    """

    last_s: float
    starts: list[Fraction]
    ends: list[Fraction] = field(default_factory=list)
    entered: set[int] = field(default_factory=set)
    confirmed: bool = False
    damaged: bool = False
    alone: bool = False


class ContinuousClock:
    """Packets of a container's streams on one continuous clock.

    `jumps` holds the discontinuities met so far, at seconds on that clock. Packets of containers
    that cannot have any are not changed.

    Args:
        container: the file, from its beginning.
        wanted: the streams whose packets are yielded.
    """

    def __init__(self, container: InputContainer, *wanted: Stream) -> None:
        self.jumps: list[ClockJump] = []
        self.offsets: list[Fraction] = [Fraction(0)]
        self._container = container
        self._follows = can_leap(container)
        self._forward = container.format.name in LEAPING_FORWARD
        self._wanted = {stream.index for stream in wanted}
        followed = _followed(container, wanted) if self._follows else []
        read = [*followed, *(stream for stream in wanted if stream not in followed)]
        self._streams = {
            stream.index: _Stream(stream.time_base or Fraction(1), stream in followed)
            for stream in read
        }
        read_only(container, *read)
        self._source = packets(container, *read)
        self._queue: deque[av.Packet | None] = deque()
        self._read_to = 0

    def packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets of the wanted streams, in the order of the file, as `packets` does."""
        if not self._follows:
            yield from self._source
            return
        while True:
            packet = self._queue.popleft() if self._queue else next(self._source, END)
            if packet is END:
                return
            if packet is not None and not _is_flush(packet):
                if packet.stream.index in self._wanted:
                    self._read_to = max(self._read_to, (packet.pos or 0) + packet.size)
                self.put_on_clock(packet)
            if packet is None or packet.stream.index in self._wanted:
                yield packet

    def expected_end_s(self, stream: Stream) -> float | None:
        """Return when a stream should end: by its header, or by the packets of all streams.

        Seconds on the continuous clock; None if nothing says.
        """
        ends = [float(s.end * s.base) for s in self._streams.values() if s.end is not None]
        if self._container.format.name not in END_AT_PACKETS and not self.jumps:
            ends += [header_end_s(self._container, stream)]
        return max((end_s for end_s in ends if 0 < end_s <= MAX_LENGTH_S), default=None)

    def unread_bytes(self) -> int:
        """Return how many bytes come after the last packet that is wanted, or in a second movie.

        Streams of a joined recording may have other identifiers, which are other streams.
        """
        path = self._container.name.removeprefix("file:")
        if self._follows and self._read_to:
            return max(os.stat(path).st_size - self._read_to, 0)
        return bytes_after_movie(path) if self._container.format.name.startswith("mov,") else 0

    def segment_of(self, stream: Stream) -> int:
        """Return the segment of a stream's latest packet."""
        return self._streams[stream.index].segment

    def put_on_clock(self, packet: av.Packet) -> None:
        """Replace the times of the next packet of the file by those of the continuous clock."""
        stream = self._streams[packet.stream_index]
        time_s = stream.time_s(packet)
        if time_s is None:
            return
        last_s, in_latest = stream.last_s, stream.segment == len(self.offsets) - 1
        if in_latest and last_s is not None and 0 <= time_s - last_s <= BACK_S:
            stream.last_s, stream.settled = time_s, True  # As nearly all packets.
        else:
            self._enter_segment(stream, packet, time_s)
        if stream.segment:
            move(packet, self.offsets[stream.segment], stream.base)
        if stream.last_s == time_s:  # Otherwise a damaged timestamp.
            end = stream.end_of(packet)
            if stream.end is None or end > stream.end:
                stream.end = end

    def _enter_segment(self, stream: _Stream, packet: av.Packet, time_s: float) -> None:
        """Decide the segment of a packet and update the state of its stream."""
        last_s = stream.last_s
        nearest, away_s = self._nearest(stream, time_s)
        joins = nearest != stream.segment
        if last_s is None or (joins and (away_s <= BACK_S or not stream.audiovisual)):
            stream.segment, stream.last_s = nearest, time_s
        elif not joins and _continues(time_s - last_s):
            stream.last_s, stream.settled = time_s, True
        elif not stream.audiovisual:
            pass
        elif not stream.settled:
            stream.last_s = time_s  # The first timestamp of the stream may be the damaged one.
        else:
            self._leap(stream, packet, time_s, nearest)

    def _nearest(self, stream: _Stream, time_s: float) -> tuple[int, float]:
        """Return the segment, its own or a later one, whose clock is closest, and how close."""
        first = 0 if stream.last_s is None else stream.segment
        away = {n: abs(time_s - at_s) for n, at_s in self._clocks(first).items()}
        if stream.last_s is not None:
            away = {n: away_s for n, away_s in away.items() if away_s <= FORWARD_S}
            away[stream.segment] = abs(time_s - stream.last_s)
        nearest = min(away, key=lambda n: (away[n], -n), default=stream.segment)
        return nearest, away.get(nearest, 0.0)

    def _clocks(self, first: int) -> dict[int, float]:
        """Return the latest time read in each segment from `first` on."""
        clocks: dict[int, float] = {}
        for stream in self._streams.values():
            if stream.settled and stream.last_s is not None and stream.segment >= first:
                n = stream.segment
                clocks[n] = max(clocks.get(n, stream.last_s), stream.last_s)
        return clocks

    def _leap(self, stream: _Stream, packet: av.Packet, time_s: float, nearest: int) -> None:
        """Decide a timestamp that leaps: damaged, a gap, a stream alone, or a new segment."""
        last_s = stream.last_s or 0.0
        seen = self._examine(stream, packet, time_s, last_s)
        if seen.damaged:
            packet.pts = packet.dts = None  # The readers continue at the stream's rate.
            return
        if nearest != stream.segment and not seen.entered:
            stream.segment, stream.last_s = nearest, time_s  # Late into a segment of others.
            return
        latest_s = self._clocks(stream.segment).get(stream.segment, last_s)
        gap = time_s > last_s and not (self._forward and time_s - latest_s > FORWARD_S)
        if gap or seen.alone:
            stream.last_s = time_s
            return
        if not seen.confirmed:
            return
        ends = [s.end * s.base for s in self._streams.values() if s.end is not None]
        begin = max([*ends, *seen.ends])
        offset = begin - min(seen.starts)
        self.jumps.append(ClockJump(float(begin), float(self.offsets[-1] - offset)))
        self.offsets.append(offset)
        stream.segment, stream.last_s = len(self.offsets) - 1, time_s

    def _examine(self, stream: _Stream, packet: av.Packet, time_s: float, last_s: float) -> _Leap:
        """Read what follows a leap."""
        seen = _Leap(time_s, [stream.start_of(packet) * stream.base])
        begun = self._active(stream)
        old = dict(begun)
        for follower in self._followers():
            index, other = follower.stream.index, self._streams[follower.stream.index]
            at_s = other.time_s(follower)
            if at_s is None or not other.audiovisual:
                continue
            step_s = at_s - seen.last_s
            new = index in seen.entered or abs(step_s) < abs(at_s - old.get(index, last_s))
            if other is stream:
                if not _continues(step_s) or not (new or step_s < BACK_S):
                    seen.damaged = 0 < at_s - last_s <= FORWARD_S
                    break  # Back on the old clock, or another leap.
                seen.confirmed, seen.last_s = True, max(seen.last_s, at_s)
            elif new:
                seen.entered.add(index)
            else:
                old[index] = at_s
                seen.ends.append(other.end_of(follower) * other.base + self.offsets[other.segment])
            if other is stream or new:
                seen.starts.append(other.start_of(follower) * other.base)
            seen.alone = any(old[n] - begun_s > STAYS_S for n, begun_s in begun.items())
            waits = not begun.keys() <= seen.entered and seen.last_s - time_s < WINDOW_S
            if seen.alone or (not waits and seen.last_s - time_s >= CONFIRM_S):
                break
        return seen

    def _active(self, stream: _Stream) -> dict[int, float]:
        """Return the latest times of the other streams that have packets about now."""
        latest_s = self._clocks(stream.segment)
        return {
            index: other.last_s
            for index, other in self._streams.items()
            if other is not stream and other.audiovisual and other.segment in latest_s
            if other.last_s is not None and latest_s[other.segment] - other.last_s < FORWARD_S
        }

    def _followers(self) -> Iterator[av.Packet]:
        """Yield the packets after the present one, which stay in the queue."""
        size = 0
        for position in range(WINDOW_PACKETS):
            if size > WINDOW_BYTES or (position == len(self._queue) and not self._peek()):
                return
            follower = self._queue[position]
            if follower is None or _is_flush(follower):
                return
            size += follower.size
            yield follower

    def _peek(self) -> bool:
        """Read one more packet into the queue; return whether there was one."""
        packet = next(self._source, END)
        if packet is not END:
            self._queue.append(packet)
        return packet is not END


def _followed(container: InputContainer, wanted: tuple[Stream, ...]) -> list[Stream]:
    """Return the streams with the same clock as the wanted ones."""
    videos, audio = motion_video_streams(container), container.streams.audio
    followed = [*videos, *audio]
    if container.format.name == "mpegts" and max(len(videos), len(audio)) > 1:
        # Each program has a clock of its own.
        programs = stream_programs(container.name.removeprefix("file:"))
        own = {programs.get(stream.id) for stream in wanted}
        if None not in own:
            return [stream for stream in followed if programs.get(stream.id) in own]
    return followed


def _is_flush(packet: av.Packet) -> bool:
    return not packet.size and packet.dts is None


def _continues(step_s: float) -> bool:
    return -BACK_S <= step_s <= FORWARD_S
