"""Log filterbank energies and MFCC as python_speech_features defines them, 100 columns a second.

`StackedFbank` is the input of AV-HuBERT, `Mfcc` that of SyncNet. They share spectra of 25 ms under
a rectangular window and 26 triangular mel filters, computed in float64 as the original is.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.timing import SAMPLE_RATE

# python_speech_features computes on the scale of 16-bit samples.
INT16_SCALE = 32768
# 25 ms every 10 ms, padded to 512 samples.
FILTERS, N_FFT, WINDOW, HOP, PREEMPHASIS = 26, 512, 400, 160, 0.97


class StackedFbank(nn.Module):
    """AV-HuBERT's audio features: log energies of 26 filters, four columns stacked per video frame.

    Each frame's 104 numbers are normalised to mean 0 and variance 1, so loudness is lost.
    """

    n_filters, stacked, hop_length, win_length = FILTERS, 4, HOP, WINDOW
    # Samples that `columns` needs before the first column's own, for the pre-emphasis.
    samples_before = 1
    # Samples that a frame sees, counted from its first one: 240 of them belong to the next frame.
    reach_samples = (stacked - 1) * HOP + WINDOW

    def __init__(self) -> None:
        super().__init__()
        # Not a buffer, and never on the meta device: see `DecibelMel.filters`.
        with torch.device("cpu"):
            self.filters = _mel_filters(self.n_filters, N_FFT)

    def forward(self, wav: Tensor, frames: int | None = None) -> Tensor:
        """Map waveforms to stacked features.

        Args:
            wav: waveforms `(B, N)` in [-1, 1] at 16 kHz.
            frames: number of video frames T; N / 640 rounded up if None.

        Returns:
            Features `(B, T, 104)`; columns beyond the end of the audio are zeros.
        """
        _check_wav(wav, 1)
        count = self.stacked * (frames or -(-wav.shape[1] // (self.stacked * self.hop_length)))
        return self.stack(self.bands(wav, count)).to(wav.dtype)

    def bands(self, wav: Tensor, count: int) -> Tensor:
        """Map waveforms `(B, N)` to log energies `(B, 26, count)`, zeros beyond the audio's end."""
        bands = self._log_energies(_padded_power(wav))[..., :count]
        return F.pad(bands, (0, count - bands.shape[-1])).to(wav.dtype)

    def columns(self, wav: Tensor) -> Tensor:
        """Map waveforms `(B, N)` to log energies `(B, 26, 1 + (N - 401) // 160)` without padding.

        Column k sees samples `[160 k, 160 k + 401)`.
        """
        _check_wav(wav, self.win_length + self.samples_before)
        return self._log_energies(_power(wav)).to(wav.dtype)

    def stack(self, bands: Tensor) -> Tensor:
        """Map log energies `(B, 26, 4 T)` to normalised frames `(B, T, 104)`."""
        frames = bands.mT.unflatten(1, (-1, self.stacked)).flatten(2)
        return F.layer_norm(frames, frames.shape[2:])

    def _log_energies(self, power: Tensor) -> Tensor:
        return _finite_log(power @ self.filters.to(power).mT).mT


class Mfcc(nn.Module):
    """SyncNet's audio features: 13 mel-frequency cepstral coefficients, 100 columns a second.

    The log energy replaces the first coefficient. The waveform is scaled to the range of 16-bit
    samples, which changes only the log energy.
    """

    n_mfcc, n_filters, n_fft, win_length, hop_length = 13, FILTERS, N_FFT, WINDOW, HOP
    lifter = 22
    # Samples that `columns` needs before the first column's own, for the pre-emphasis.
    samples_before = 1

    def __init__(self) -> None:
        super().__init__()
        # Not buffers, and never on the meta device: see `DecibelMel.filters`.
        with torch.device("cpu"):
            self.filters = _mel_filters(self.n_filters, self.n_fft)
            self.cosines = _liftered_cosines(self.n_mfcc, self.n_filters, self.lifter)

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms to MFCC.

        Args:
            wav: waveforms `(B, N)` in [-1, 1] at 16 kHz.

        Returns:
            MFCC `(B, 13, 1 + ceil((N - 400) / 160))`; the audio is padded with zeros where the last
            column reaches beyond its end.
        """
        _check_wav(wav, 1)
        return self._cepstra(_padded_power(wav)).to(wav.dtype)

    def columns(self, wav: Tensor) -> Tensor:
        """Map waveforms `(B, N)` to MFCC `(B, 13, 1 + (N - 401) // 160)` without padding.

        Column k sees samples `[160 k, 160 k + 401)`.
        """
        _check_wav(wav, self.win_length + self.samples_before)
        return self._cepstra(_power(wav)).to(wav.dtype)

    def _cepstra(self, power: Tensor) -> Tensor:
        bands = _finite_log(power @ self.filters.to(power).mT)
        cepstra = (bands @ self.cosines.to(power).mT).mT
        return torch.cat([_finite_log(power.sum(-1))[:, None], cepstra[:, 1:]], dim=1)


def _finite_log(x: Tensor) -> Tensor:
    return torch.where(x == 0, torch.finfo(x.dtype).eps, x).log()


def _padded_power(wav: Tensor) -> Tensor:
    """Compute power spectra `(B, 1 + ceil((N - 400) / 160), 257)`, zero-padding the last column."""
    steps = max(0, -(-(wav.shape[1] - WINDOW) // HOP))
    emphasised = _preemphasise(F.pad(wav.double(), (1, 0)))
    return _spectra(F.pad(emphasised, (0, steps * HOP + WINDOW - wav.shape[1])))


def _power(wav: Tensor) -> Tensor:
    """Compute power spectra `(B, 1 + (N - 401) // 160, 257)` without padding."""
    return _spectra(_preemphasise(wav.double()))


def _preemphasise(wav: Tensor) -> Tensor:
    """Scale to 16-bit samples and apply pre-emphasis, which takes the first sample away."""
    return INT16_SCALE * (wav[:, 1:] - PREEMPHASIS * wav[:, :-1])


def _spectra(emphasised: Tensor) -> Tensor:
    frames = emphasised.unfold(1, WINDOW, HOP)
    return torch.fft.rfft(frames, N_FFT).abs().square() / N_FFT


def _mel_filters(count: int, n_fft: int) -> Tensor:
    """Build triangular filters `(count, 1 + n_fft // 2)`, evenly spaced in HTK mels.

    Their edges are rounded down to whole bins, as in python_speech_features.
    """
    mel_max = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    mel = torch.linspace(0, mel_max, count + 2, dtype=torch.float64)
    edges = ((n_fft + 1) / SAMPLE_RATE * 700 * (10 ** (mel / 2595) - 1)).floor()
    bins = torch.arange(1 + n_fft // 2)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    return torch.minimum(rising, falling).clamp_min(0)


def _liftered_cosines(count: int, n_filters: int, lifter: int) -> Tensor:
    """Build the orthonormal DCT-II `(count, n_filters)`, its rows scaled by the sine lifter."""
    order = torch.arange(count, dtype=torch.float64)
    band = torch.arange(n_filters, dtype=torch.float64) + 0.5
    cosines = torch.cos(math.pi / n_filters * order[:, None] * band) * math.sqrt(2 / n_filters)
    cosines[0] /= math.sqrt(2)
    lift = 1 + lifter / 2 * torch.sin(math.pi / lifter * order)
    return lift[:, None] * cosines


def _check_wav(wav: Tensor, samples: int) -> None:
    if wav.ndim != 2 or wav.shape[1] < samples:
        raise ValueError(f"wav must be (B, N) with N >= {samples}, got {tuple(wav.shape)}")
