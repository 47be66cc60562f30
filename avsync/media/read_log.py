"""Record what a reader met on its way through a file: clock jumps, gaps, damage, where it ended."""

from dataclasses import dataclass, field
from typing import NamedTuple


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
    audio_end_s: float | None = None
    samples: int = 0
    invalid_samples: int = 0
    huge_samples: int = 0
