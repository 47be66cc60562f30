"""Log energies of a filter bank as python_speech_features defines them: what AV-HuBERT hears.

MFCC of the same package begin with the same spectra and filters.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.timing import SAMPLE_RATE

INT16_SCALE = 32768
# 25 ms every 10 ms, padded to 512 samples.
FILTERS, N_FFT, WINDOW, HOP, PREEMPHASIS = 26, 512, 400, 160, 0.97


class StackedFbank(nn.Module):
    """What AV-HuBERT hears: the logarithms of 26 filters as python_speech_features defines them,
    100 columns a second, four of them side by side for each video frame: 104 numbers.

    Each frame's numbers are brought to mean 0 and variance 1, so loudness is lost.
    """

    n_filters, stacked, hop_length, win_length = FILTERS, 4, HOP, WINDOW
    samples_before = 1
    # Samples that a frame sees, from its own first one on: 240 of the frame after.
    reach_samples = (stacked - 1) * HOP + WINDOW

    def __init__(self) -> None:
        super().__init__()
        # Not a buffer, and never on the meta device: see `DecibelMel.filters`.
        with torch.device("cpu"):
            self.filters = filters(self.n_filters, N_FFT)

    def forward(self, wav: Tensor, frames: int | None = None) -> Tensor:
        """Maps a waveform `(B, N)` in [-1, 1] at 16 kHz to `(B, T, 104)`, T as asked for, by
        default N / 640 rounded up; zeros stand where the sound has ended.
        """
        _check(wav, 1)
        count = self.stacked * (frames or -(-wav.shape[1] // (self.stacked * self.hop_length)))
        return self.stack(self.bands(wav, count)).to(wav.dtype)

    def bands(self, wav: Tensor, count: int) -> Tensor:
        """Maps a waveform `(B, N)` to log energies `(B, 26, count)`, zeros where it has ended."""
        bands = self._bands(whole_powers(wav))[..., :count]
        return F.pad(bands, (0, count - bands.shape[-1])).to(wav.dtype)

    def columns(self, wav: Tensor) -> Tensor:
        """Maps a waveform `(B, N)` to log energies `(B, 26, 1 + (N - 401) // 160)` without any
        padding: column k sees samples `[160 k, 160 k + 401)`.
        """
        _check(wav, self.win_length + self.samples_before)
        return self._bands(inner_powers(wav)).to(wav.dtype)

    def stack(self, bands: Tensor) -> Tensor:
        """Maps log energies `(B, 26, 4 T)` to normalised frames `(B, T, 104)`."""
        frames = bands.mT.unflatten(1, (-1, self.stacked)).flatten(2)
        return F.layer_norm(frames, frames.shape[2:])

    def _bands(self, power: Tensor) -> Tensor:
        return finite_log(power @ self.filters.to(power).mT).mT


def finite_log(x: Tensor) -> Tensor:
    return torch.where(x == 0, torch.finfo(x.dtype).eps, x).log()


def whole_powers(wav: Tensor) -> Tensor:
    """Power spectra `(B, 1 + ceil((N - 400) / 160), 257)` of a sound `(B, N)`, which zeros follow
    where the last column reaches over its end.
    """
    steps = max(0, -(-(wav.shape[1] - WINDOW) // HOP))
    sound = _emphasised(F.pad(wav.double(), (1, 0)))
    return _powers(F.pad(sound, (0, steps * HOP + WINDOW - wav.shape[1])))


def inner_powers(wav: Tensor) -> Tensor:
    """Power spectra `(B, 1 + (N - 401) // 160, 257)` of a sound `(B, N)`, nothing padded."""
    return _powers(_emphasised(wav.double()))


def _emphasised(wav: Tensor) -> Tensor:
    """In the range of 16-bit samples, the first one gone."""
    return INT16_SCALE * (wav[:, 1:] - PREEMPHASIS * wav[:, :-1])


def _powers(sound: Tensor) -> Tensor:
    frames = sound.unfold(1, WINDOW, HOP)
    return torch.fft.rfft(frames, N_FFT).abs().square() / N_FFT


def filters(count: int, n_fft: int) -> Tensor:
    """Triangles `(count, 1 + n_fft // 2)` between whole bins, evenly spaced in HTK mels."""
    mel_max = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    mel = torch.linspace(0, mel_max, count + 2, dtype=torch.float64)
    edges = ((n_fft + 1) / SAMPLE_RATE * 700 * (10 ** (mel / 2595) - 1)).floor()
    bins = torch.arange(1 + n_fft // 2)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    return torch.minimum(rising, falling).clamp_min(0)


def _check(wav: Tensor, samples: int) -> None:
    if wav.ndim != 2 or wav.shape[1] < samples:
        raise ValueError(f"wav must be (B, N) with N >= {samples}, got {tuple(wav.shape)}")
