"""Sound at another rate, block by block, in its place: no sample comes earlier or later for it."""

from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

# With rates that share few factors, FFmpeg would take the nearest of 1024 phases, which is heard
# 60 dB below high tones: between phases it interpolates.
OPTIONS = {"linear_interp": "1", "filter_size": "64"}


class Resampler:
    """Brings consecutive blocks of sound to another rate; how the sound was cut does not matter.

    Args:
        source_rate: samples a second of what comes in.
        rate: samples a second of what goes out.
        channels: of both; each is resampled on its own.
    """

    def __init__(self, source_rate: int, rate: int, channels: int) -> None:
        if min(source_rate, rate, channels) < 1:
            got = f"{source_rate}, {rate} and {channels}"
            raise ValueError(f"source_rate, rate and channels must be positive, got {got}")
        self.source_rate, self.rate, self.channels = source_rate, rate, channels
        self.taken = self.given = 0
        count = 0 if source_rate == rate else channels
        self._each = [AudioResampler("fltp", "mono", rate, options=OPTIONS) for _ in range(count)]

    def push(self, block: np.ndarray) -> np.ndarray:
        """Maps the next `(C, n)` samples to those `(C, m)` that can be told by now, float32."""
        if block.ndim != 2 or len(block) != self.channels:
            raise ValueError(f"block must be ({self.channels}, n), got {block.shape}")
        self.taken += block.shape[1]
        if not self._each or not block.shape[1]:
            out = np.asarray(block, np.float32)[:, : None if not self._each else 0]
        else:
            out = np.stack([self._one(k, channel) for k, channel in enumerate(block)])
        self.given += out.shape[1]
        return out

    def end(self) -> np.ndarray:
        """What is left, `(C, m)`: then all of it is as long as what came in, to half a sample."""
        wanted = round(Fraction(self.taken * self.rate, self.source_rate)) - self.given
        if not self._each:
            return np.zeros((self.channels, 0), np.float32)
        left = np.stack([self._one(k, None) for k in range(self.channels)])
        self.given += wanted
        return np.pad(left, [(0, 0), (0, max(0, wanted - left.shape[1]))])[:, : max(wanted, 0)]

    def _one(self, channel: int, samples: np.ndarray | None) -> np.ndarray:
        frame = None
        if samples is not None:
            mono = np.ascontiguousarray(samples, np.float32)[None]
            frame = AudioFrame.from_ndarray(mono, "fltp", "mono")
            frame.sample_rate, frame.time_base = self.source_rate, Fraction(1, self.source_rate)
        made = self._each[channel].resample(frame)
        blocks = [each.to_ndarray()[0] for each in made if each is not None]
        return np.concatenate([np.zeros(0, np.float32), *blocks])
