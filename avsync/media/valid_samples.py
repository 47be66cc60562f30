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


def replace_invalid(frame: AudioFrame, log: ReadLog) -> bool:
    """Replace samples of a decoded frame that are not finite by zeros, in place.

    Args:
        frame: the frame.
        log: counts samples, invalid ones and those beyond `HUGE`, which are kept.

    Returns:
        Whether the samples could be tested.
    """
    channels = frame.layout.nb_channels
    log.samples += frame.samples * channels
    number = FLOATS.get(frame.format.name)
    planes = channels if frame.format.is_planar else 1
    if number is None:
        return True
    if planes > MAX_PLANES:
        return False
    for plane in frame.planes:
        samples = np.frombuffer(cast(Any, plane), number)[: frame.samples * channels // planes]
        clean_samples(samples, log)
    return True


def clean_samples(samples: np.ndarray, log: ReadLog) -> None:
    """Replace samples that are not finite by zeros, in place, and count them in the log."""
    # False if one of them is not a number.
    if not samples.size or (samples.max() <= HUGE and samples.min() >= -HUGE):
        return
    invalid = ~np.isfinite(samples)
    samples[invalid] = 0.0
    log.invalid_samples += int(invalid.sum())
    log.huge_samples += int((np.abs(samples) > HUGE).sum())
