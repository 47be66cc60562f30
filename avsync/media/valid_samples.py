"""Replace audio samples that are not finite numbers, before resampling spreads them."""

from typing import Any, cast

import numpy as np
from av.audio.frame import AudioFrame

from avsync.media.read_log import ReadLog

FLOATS = {"flt": np.float32, "fltp": np.float32, "dbl": np.float64, "dblp": np.float64}
# 30 dB above full scale: decoders overshoot by a few decibels, wrong scaling is by 90 dB (16 bits).
HUGE = 32.0
# PyAV 18 crashes on frames with more planes: their samples are replaced after resampling.
MAX_PLANES = 7


class SampleCheck:
    """Replace samples of decoded frames of one format that are not finite by zeros, in place.

    `complete` is whether all can be tested.

    Args:
        first: one of the frames.
        log: counts samples, invalid ones and those beyond `HUGE`, which are kept.
    """

    def __init__(self, first: AudioFrame, log: ReadLog) -> None:
        self.log, self.channels = log, first.layout.nb_channels
        self.number = FLOATS.get(first.format.name)
        self.per_plane = 1 if first.format.is_planar else self.channels
        self.complete = self.number is None or self.channels <= MAX_PLANES * self.per_plane

    def __call__(self, frame: AudioFrame) -> None:
        count = frame.samples
        self.log.samples += count * self.channels
        if self.number is not None and self.complete:
            for plane in frame.planes:
                samples = np.frombuffer(cast(Any, plane), self.number)
                clean_samples(samples[: count * self.per_plane], self.log)


def clean_samples(samples: np.ndarray, log: ReadLog) -> None:
    """Replace samples `(n,)` that are not finite by zeros, in place, and count them in the log."""
    # Their energy is a fast test for nearly all; it is no number if one of them is none.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.dot(samples, samples) <= HUGE**2:
            return
    if samples.max() <= HUGE and samples.min() >= -HUGE:
        return
    invalid = ~np.isfinite(samples)
    samples[invalid] = 0.0
    log.invalid_samples += int(invalid.sum())
    log.huge_samples += int((np.abs(samples) > HUGE).sum())
