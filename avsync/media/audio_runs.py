"""Resample and mix runs of audio frames, and decide where a run of continuous audio ends."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler

from avsync.media.container import AUDIO_RATES, MAX_CHANNELS, MAX_GAP_S
from avsync.media.read_log import ReadLog
from avsync.media.valid_samples import SampleCheck, clean_samples

# Containers round timestamps (Matroska to 1 ms) and recorders jitter: audio is taken as continuous
# until timestamps are off by more than JUMP_S at once, or by more than DRIFT_S in a running mean.
JUMP_S = 0.02
DRIFT_S = 0.003
DRIFT_MEMORY = 0.05


class ResampledBlock(NamedTuple):
    """Resampled audio `(C, n)` that starts `at` samples after `run_s` on the file's clock."""

    run_s: float
    at: int
    rate: int
    block: np.ndarray


class AudioRun:
    """A run of audio without gaps, of one format, resampled and mixed on its own.

    Args:
        first: its first frame.
        start_s: its start on the file's clock.
        rate: output rate.
        layout: output layout.
        channel: the only channel of that layout to give; None for all.
        log: counts samples, and those that are no finite numbers.
    """

    def __init__(
        self,
        first: AudioFrame,
        start_s: float,
        rate: int,
        layout: str,
        channel: int | None,
        log: ReadLog,
    ) -> None:
        self.start_s, self.rate, self.layout, self.channel = start_s, rate, layout, channel
        self.log, self.format, self.check = log, _format(first), SampleCheck(first, log)
        self.taken = 0
        self.given = 0
        self.drift_s = 0.0
        # Channels without positions ("3 channels") cannot be mixed by position: take their mean.
        self.by_mean = layout == "mono" and "channels" in first.layout.name
        self.resampler = AudioResampler(
            # Packed format: PyAV 18 crashes on frames with more than seven planes.
            "flt",
            None if self.by_mean else layout,
            rate,
            # Otherwise the mix of float samples is 3 dB too loud for stereo.
            options={"rematrix_maxval": "1.0"},
        )

    def next(self, frame: AudioFrame, start_s: float) -> "AudioRun":
        """Return the run that starts with a frame after this one."""
        return AudioRun(frame, start_s, self.rate, self.layout, self.channel, self.log)

    def broken_by(self, frame: AudioFrame, time_s: float | None) -> float | None:
        """Return when a new run starts with this frame, in seconds; None if it continues."""
        end_s = self.start_s + self.taken / self.format[0]
        late_s = 0.0 if time_s is None or time_s - end_s > MAX_GAP_S else time_s - end_s
        self.drift_s += DRIFT_MEMORY * (late_s - self.drift_s)
        if abs(late_s) > JUMP_S:
            return end_s + late_s
        if abs(self.drift_s) > DRIFT_S or _format(frame) != self.format:
            return end_s + self.drift_s
        return None

    def push(self, frame: AudioFrame | None) -> Iterator[ResampledBlock]:
        """Yield what the next frame adds to the output; None flushes the resampler."""
        if frame is not None:
            self.taken += frame.samples
            self.check(frame)
        for out in self.resampler.resample(frame):
            if out is None:
                continue  # The reply of an idle resampler when it is flushed.
            block = out.to_ndarray().reshape(-1, out.layout.nb_channels).T
            if self.by_mean:
                block = block.mean(0, keepdims=True)
            if self.channel is not None:
                block = block[self.channel : self.channel + 1]
            if self.log.huge_samples or not self.check.complete:
                # Samples that overflow in the resampler have been counted as huge.
                for wav in block:
                    clean_samples(wav, ReadLog() if self.check.complete else self.log)
            yield ResampledBlock(self.start_s, self.given, self.rate, block)
            self.given += block.shape[1]


def is_valid_audio(frame: AudioFrame) -> bool:
    """Return whether a frame has plausible properties, not those of a damaged header."""
    low, high = AUDIO_RATES
    return low <= frame.sample_rate <= high and frame.layout.nb_channels <= MAX_CHANNELS


def check_channel(channel: int | None, layout: AudioLayout) -> None:
    """Raise ValueError if a channel is not one of a layout's."""
    if channel is not None and not 0 <= channel < layout.nb_channels:
        count = layout.nb_channels
        raise ValueError(f"channel must be one of the stream's {count} from 0, got {channel}")


def _format(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name
