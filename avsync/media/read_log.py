"""Record what a reader met on its way through a file: clock jumps, gaps, damage, where it ended."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import av

# Gaps and undecodable segments longer than this are recorded.
LONG_S = 1.0


class ClockJump(NamedTuple):
    """A discontinuity of the file's clock, which the readers have closed.

    Args:
        time_s: when it happens, in seconds from the first frame on the continuous clock.
        leap_s: by how much the file's clock leaps, negative if it goes back.
    """

    time_s: float
    leap_s: float


@dataclass
class ReadLog:
    """What the readers of one file met; all times are seconds from the first frame.

    Readers fill it while they stream. Readers of the frames and of the audio may share one.

    Args:
        jumps: discontinuities of the file's clock.
        gaps: start and end of segments longer than a second without new frames.
        undecoded: those parts of the gaps, longer than a second, in which video packets came but
            none could be decoded.
        end_s: end of the last decoded frame; None until all frames have been read.
        expected_end_s: where the video should end by the header or by the packets of all streams;
            None if unknown. Much later than `end_s` in a truncated file.
        unread_bytes: bytes of the file after the last packet of the video: of longer audio, an
            index, or all of a second file that was joined to the first.
        audio_end_s: end of the last decoded audio; None until all audio has been read.
        samples: audio samples decoded, counted in each channel.
        invalid_samples: those that were not finite numbers, replaced by zeros.
        huge_samples: those more than 30 dB above full scale.
    """

    jumps: list[ClockJump] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    undecoded: list[tuple[float, float]] = field(default_factory=list)
    end_s: float | None = None
    expected_end_s: float | None = None
    unread_bytes: int = 0
    audio_end_s: float | None = None
    samples: int = 0
    invalid_samples: int = 0
    huge_samples: int = 0


class VideoProgress:
    """Fill the log of one pass over the frames of a video.

    Args:
        log: the log.
        jumps: the discontinuities met so far, at seconds on the continuous clock.
        usual_s: usual time between two frames.
    """

    def __init__(self, log: ReadLog, jumps: list[ClockJump], usual_s: float) -> None:
        self.log, self.jumps, self.usual_s = log, jumps, usual_s
        self.first_s: float | None = None
        self.last_s = 0.0
        # Segments in which packets came, later than the last frame.
        self.came: list[tuple[float, float]] = []

    def watch(self, source: Iterator[av.Packet | None]) -> Iterator[av.Packet | None]:
        """Yield the packets of the video, recording their times."""
        for packet in source:
            if packet is not None and packet.size and packet.time_base is not None:
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is not None:
                    self.on_packet(float(stamp * packet.time_base))
            yield packet

    def on_packet(self, time_s: float) -> None:
        """Record that a packet came."""
        start_s, end_s = time_s, time_s + self.usual_s
        if self.came and self.came[-1][0] - LONG_S <= time_s <= self.came[-1][1] + LONG_S:
            last = self.came.pop()
            start_s, end_s = min(start_s, last[0]), max(end_s, last[1])
        self.came.append((start_s, end_s))

    def on_frame(self, time_s: float) -> None:
        """Record that a frame was decoded; times increase."""
        if self.first_s is None:
            self.first_s = time_s
            self._add_undecoded(-float("inf"), time_s)
        else:
            shown_until_s = self.last_s + self.usual_s
            if time_s - shown_until_s > LONG_S:
                self.log.gaps.append((shown_until_s - self.first_s, time_s - self.first_s))
                self._add_undecoded(shown_until_s, time_s)
            elif time_s - self.last_s <= LONG_S:
                self.usual_s = time_s - self.last_s
        self.last_s = time_s
        self.came = [
            (max(start_s, time_s), end_s) for start_s, end_s in self.came if end_s > time_s
        ]
        add_jumps(self.log, self.jumps, self.first_s)

    def on_end(self, expected_end_s: float | None) -> None:
        """Record where the frames ended and should have ended, in seconds on the clock."""
        if self.first_s is None:
            return
        end_s = self.last_s + self.usual_s
        self._add_undecoded(end_s, float("inf"))
        self.log.end_s = end_s - self.first_s
        if expected_end_s is not None:
            self.log.expected_end_s = expected_end_s - self.first_s
        add_jumps(self.log, self.jumps, self.first_s)

    def _add_undecoded(self, from_s: float, until_s: float) -> None:
        for start_s, end_s in self.came:
            start_s, end_s = max(start_s, from_s), min(end_s, until_s)
            if end_s - start_s > LONG_S:
                first_s = self.first_s or 0.0
                self.log.undecoded.append((start_s - first_s, end_s - first_s))


def add_jumps(log: ReadLog, jumps: list[ClockJump], origin_s: float) -> None:
    """Add to a log the discontinuities that it lacks, at seconds from the origin."""
    for jump in jumps[len(log.jumps) :]:
        log.jumps.append(jump._replace(time_s=jump.time_s - origin_s))
