"""Resample waveforms: whole tensors with `resample`, blocks of a stream with `Resampler`.

They do not delay the audio: sample 0 stays sample 0.
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from scipy.signal import firwin, resample_poly
from torch import Tensor

# Of `resample`: the filter passes PASSBAND of the lower rate's band and is 86 dB down at its end;
# a sample is computed from HALF_WIDTH samples of the lower rate on either side.
PASSBAND, HALF_WIDTH, KAISER_BETA = 0.915, 64, 8.6
# Of `Resampler`: with rates that share few factors FFmpeg would take the nearest of 1024 phases,
# which is audible 60 dB below high tones; linear_interp interpolates between phases.
FFMPEG_OPTIONS = {"linear_interp": "1", "filter_size": "64"}
# Of `shift_pitch`, in samples: 25 ms, which holds two periods of low voices, and 5 ms.
VOCODER_WINDOW, VOCODER_HOP = 400, 80


def resample(wav: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Resample a whole waveform with a polyphase filter, in float32 and without gradients.

    torchaudio's resampler takes 3.4 s and 750 MB for 20 s of audio from 44100 to 16384 Hz, rates
    that share no small factor; this takes 0.2 s.

    Args:
        wav: waveform `(..., N)`.
        source_rate: sample rate of `wav`, in Hz.
        target_rate: sample rate wanted, in Hz.

    Returns:
        Waveform `(..., ceil(N * target_rate / source_rate))`.
    """
    if min(source_rate, target_rate) < 1:
        raise ValueError(f"rates must be positive, got {source_rate} and {target_rate}")
    if wav.ndim < 1 or not wav.shape[-1]:
        raise ValueError(f"wav must be (..., N) with N >= 1, got {tuple(wav.shape)}")
    if source_rate == target_rate:
        return wav
    shared = math.gcd(source_rate, target_rate)
    up, down = target_rate // shared, source_rate // shared
    samples = wav.detach().cpu().to(torch.float32).numpy()
    out = resample_poly(samples, up, down, axis=-1, window=_low_pass(max(up, down)))
    return torch.from_numpy(np.ascontiguousarray(out)).to(wav)


def resample_with_gradients(wav: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Resample a whole waveform in its own precision, on its device and with gradients.

    A windowed sinc with the Kaiser window of resampy's `kaiser_best`. Between rates that share no
    large factor, `resample` takes a small part of the time and memory.

    Args:
        wav: waveform `(..., N)`.
        source_rate: sample rate of `wav`, in Hz.
        target_rate: sample rate wanted, in Hz.

    Returns:
        Waveform `(..., ceil(N * target_rate / source_rate))`.
    """
    from torchaudio.functional import resample as resample_by_sinc

    return resample_by_sinc(
        wav,
        source_rate,
        target_rate,
        lowpass_filter_width=HALF_WIDTH,
        rolloff=0.9475937167399596,
        resampling_method="sinc_interp_kaiser",
        beta=14.769656459379492,
    )


def shift_pitch(wav: Tensor, up: int, down: int) -> Tensor:
    """Multiply all frequencies of a waveform by `up / down`, and keep its timing.

    The waveform is resampled, then stretched to its old length by a phase vocoder (Flanagan and
    Golden, Phase Vocoder, 1966), so formants move as well as the pitch. An impulse becomes some 20
    ms wide, and its middle moves by up to 10 ms.

    Args:
        wav: waveform `(B, N)` at 16 kHz.
        up: numerator of the factor.
        down: denominator of the factor.

    Returns:
        Waveform `(B, N)`.
    """
    from torchaudio.functional import phase_vocoder

    short = resample(wav, up, down)
    window = torch.hann_window(VOCODER_WINDOW).to(short)
    spectrum = torch.stft(short, VOCODER_WINDOW, VOCODER_HOP, window=window, return_complex=True)
    bins = spectrum.shape[1]
    advance = torch.linspace(0, math.pi * VOCODER_HOP, bins).to(short)[:, None]
    stretched = phase_vocoder(spectrum, down / up, advance)
    return torch.istft(stretched, VOCODER_WINDOW, VOCODER_HOP, window=window, length=wav.shape[1])


@lru_cache(8)
def _low_pass(factor: int) -> Any:
    """Design the low-pass filter at `factor` times the lower rate."""
    coefficients = firwin(
        2 * HALF_WIDTH * factor + 1,
        (1 + PASSBAND) / 2 / factor,
        window=("kaiser", KAISER_BETA),
    )
    return coefficients.astype(np.float32)


class Resampler:
    """Resample consecutive blocks of a stream with FFmpeg; the output does not depend on the cuts.

    Args:
        source_rate: sample rate of the input, in Hz.
        rate: sample rate of the output, in Hz.
        channels: channels of both, which are resampled independently.
    """

    def __init__(self, source_rate: int, rate: int, channels: int) -> None:
        if min(source_rate, rate, channels) < 1:
            got = f"{source_rate}, {rate} and {channels}"
            raise ValueError(f"source_rate, rate and channels must be positive, got {got}")
        self.source_rate, self.rate, self.channels = source_rate, rate, channels
        self._samples_in = self._samples_out = 0
        count = 0 if source_rate == rate else channels
        self._resamplers = [
            AudioResampler("fltp", "mono", rate, options=FFMPEG_OPTIONS) for _ in range(count)
        ]

    def push(self, block: np.ndarray) -> np.ndarray:
        """Resample the next block `(C, n)` to the float32 samples `(C, m)` available so far."""
        if block.ndim != 2 or len(block) != self.channels:
            raise ValueError(f"block must be ({self.channels}, n), got {block.shape}")
        self._samples_in += block.shape[1]
        if not self._resamplers or not block.shape[1]:
            out = np.asarray(block, np.float32)[:, : None if not self._resamplers else 0]
        else:
            out = np.stack([self._resample(k, channel) for k, channel in enumerate(block)])
        self._samples_out += out.shape[1]
        return out

    def flush(self) -> np.ndarray:
        """Return the remaining samples `(C, m)`.

        The total output then lasts as long as the input, to half a sample.
        """
        total = round(Fraction(self._samples_in * self.rate, self.source_rate))
        remaining = total - self._samples_out
        if not self._resamplers:
            return np.zeros((self.channels, 0), np.float32)
        left = np.stack([self._resample(k, None) for k in range(self.channels)])
        self._samples_out += remaining
        padding = max(0, remaining - left.shape[1])
        return np.pad(left, [(0, 0), (0, padding)])[:, : max(remaining, 0)]

    def _resample(self, channel: int, samples: np.ndarray | None) -> np.ndarray:
        frame = None
        if samples is not None:
            mono = np.ascontiguousarray(samples, np.float32)[None]
            frame = AudioFrame.from_ndarray(mono, "fltp", "mono")
            frame.sample_rate, frame.time_base = self.source_rate, Fraction(1, self.source_rate)
        frames = self._resamplers[channel].resample(frame)
        blocks = [frame.to_ndarray()[0] for frame in frames if frame is not None]
        return np.concatenate([np.zeros(0, np.float32), *blocks])
