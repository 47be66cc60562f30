"""Waveform to spectral features, and to other rates. The only file that imports torchaudio."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from scipy.signal import firwin, resample_poly
from torch import Tensor, nn

from avsync.audio.fbank import (
    FILTERS,
    HOP,
    N_FFT,
    WINDOW,
    filters,
    finite_log,
    inner_powers,
    whole_powers,
)
from avsync.timing import SAMPLE_RATE

# Of `resample`: what lies over RESAMPLED_SHARE of the lower rate's band fades out, 86 dB down at
# its end; a sample is made of so many of the lower rate's on either side.
RESAMPLED_SHARE, RESAMPLED_REACH, KAISER_BETA = 0.915, 64, 8.6


class LogMel(nn.Module):
    """Log-mel columns without any padding: column k sees samples `[k * hop_length, k * hop_length +
    n_fft)` only.

    So a column does not depend on where the waveform was cut, and blocks of a stream give what the
    whole would.

    Args:
        n_mels: mel bands.
        n_fft: samples that one column spans.
        win_length: samples under the Hann window, centred in the span.
        hop_length: samples between columns.
        f_min: lower edge of the lowest band, in Hz.
        f_max: upper edge of the highest band, in Hz.
        floor: added to the band powers, so that digital silence has a finite logarithm.
    """

    def __init__(
        self,
        n_mels: int = 64,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        f_min: float = 60.0,
        f_max: float = 7600.0,
        floor: float = 1e-8,
    ) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.floor = n_fft, hop_length, floor
        self.mel = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE,
            n_fft=n_fft,
            win_length=win_length,
            hop_length=hop_length,
            f_min=f_min,
            f_max=f_max,
            n_mels=n_mels,
            power=2.0,
            center=False,
            norm="slaney",
            mel_scale="slaney",
        )

    def forward(self, wav: Tensor) -> Tensor:
        """Maps a waveform `(B, N)` at 16 kHz to log powers `(B, M, S)`, S = 1 + (N - n_fft) //
        hop_length.
        """
        if wav.ndim != 2 or wav.shape[1] < self.n_fft:
            raise ValueError(f"wav must be (B, N) with N >= {self.n_fft}, got {tuple(wav.shape)}")
        with _whole(wav):
            return (self.mel(wav) + self.floor).log()


class DecibelMel(nn.Module):
    """Log-mel of VocaLiST and of the lip expert, 80 columns a second: magnitudes on 80 Slaney bands
    from 55 to 7600 Hz, in decibels, scaled so that -80 dB and less is -4, 20 dB and more is 4.

    A column sees 800 samples about its own, so what stands beyond the ends of the sound matters to
    the two columns at either end. The public code has it both ways: its tests take columns from the
    mel of a whole clip (`forward`), in which they see the neighbouring sound; its training cut the
    window's samples first and mirrored them at their ends (`forward` of the cut, less its last
    column). The first two and the last of a window's 16 columns differ between the two, by up to a
    third of the range. `columns` pads nothing, and gives what lies inside `forward` of the whole.

    Args:
        preemphasis: this share of the sample before is taken off each one; 0 for VocaLiST, 0.97 for
            the lip expert. Their columns are 0.6 apart on average: they cannot be exchanged.
    """

    n_mels, n_fft, hop_length = 80, 800, 200
    f_min, f_max = 55.0, 7600.0

    def __init__(self, preemphasis: float = 0.0) -> None:
        super().__init__()
        self.preemphasis = preemphasis
        # Samples that `columns` needs before the first column's own.
        self.samples_before = 1 if preemphasis else 0
        # Not a buffer, and never on the meta device: a model cast to bfloat16, or built before its
        # weights are read, must keep its filters whole.
        with torch.device("cpu"):
            self.filters = torchaudio.functional.melscale_fbanks(
                n_freqs=self.n_fft // 2 + 1,
                f_min=self.f_min,
                f_max=self.f_max,
                n_mels=self.n_mels,
                sample_rate=SAMPLE_RATE,
                norm="slaney",
                mel_scale="slaney",
            )

    def forward(self, wav: Tensor) -> Tensor:
        """Maps a waveform `(B, N)` at 16 kHz to `(B, 80, 1 + N // 200)` in [-4, 4]; column k is
        centred on sample 200 k, and the ends are mirrored.
        """
        _check_wav(wav, self.n_fft // 2 + 1)
        sound = self._emphasised(F.pad(wav, (self.samples_before, 0)))
        reach = self.n_fft // 2
        return self._decibels(F.pad(sound, (reach, reach), mode="reflect")).to(wav.dtype)

    def columns(self, wav: Tensor) -> Tensor:
        """Maps a waveform `(B, N)` at 16 kHz to columns `(B, 80, S)` without any padding.

        Column k sees samples `[200 k, 200 k + 800)`; with pre-emphasis the one before as well, so
        that everything lies one sample later: S = 1 + (N - samples_before - 800) // 200.
        """
        _check_wav(wav, self.n_fft + self.samples_before)
        return self._decibels(self._emphasised(wav)).to(wav.dtype)

    def _emphasised(self, wav: Tensor) -> Tensor:
        if not self.preemphasis:
            return wav.to(torch.promote_types(wav.dtype, torch.float32))
        # In float64, as the public code: neighbours nearly cancel.
        sound = wav.double()
        return sound[:, 1:] - self.preemphasis * sound[:, :-1]

    def _decibels(self, sound: Tensor) -> Tensor:
        spectrum = torch.stft(
            sound,
            self.n_fft,
            self.hop_length,
            window=torch.hann_window(self.n_fft, dtype=sound.dtype, device=sound.device),
            center=False,
            return_complex=True,
        )
        with _whole(sound):
            mel = (spectrum.abs().mT @ self.filters.to(sound)).mT
        decibels = 20 * mel.clamp_min(1e-5).log10() - 20
        return (8 * (decibels + 100) / 100 - 4).clamp(-4, 4)


class Mfcc(nn.Module):
    """Mel-frequency cepstra as python_speech_features defines them, 100 columns a second: what
    SyncNet hears.

    Thirteen cepstra of 26 triangular filters, spectra of 25 ms under a rectangular window, the log
    energy in place of the first cepstrum. The waveform is scaled to the range of 16-bit samples,
    which only the log energy feels. Computed in float64, as the original is.
    """

    n_mfcc, n_filters, n_fft, win_length, hop_length = 13, FILTERS, N_FFT, WINDOW, HOP
    lifter = 22
    # Samples that `columns` needs before the first column's own, for the pre-emphasis.
    samples_before = 1

    def __init__(self) -> None:
        super().__init__()
        # As with `DecibelMel.filters`.
        with torch.device("cpu"):
            self.filters = filters(self.n_filters, self.n_fft)
            self.cosines = _liftered_cosines(self.n_mfcc, self.n_filters, self.lifter)

    def forward(self, wav: Tensor) -> Tensor:
        """Maps a waveform `(B, N)` in [-1, 1] at 16 kHz to `(B, 13, 1 + ceil((N - 400) / 160))`;
        zeros follow the sound where the last column reaches over its end.
        """
        _check_wav(wav, 1)
        return self._cepstra(whole_powers(wav)).to(wav.dtype)

    def columns(self, wav: Tensor) -> Tensor:
        """Maps a waveform `(B, N)` in [-1, 1] at 16 kHz to columns `(B, 13, 1 + (N - 401) // 160)`
        without any padding: column k sees samples `[160 k, 160 k + 401)`.
        """
        _check_wav(wav, self.win_length + self.samples_before)
        return self._cepstra(inner_powers(wav)).to(wav.dtype)

    def _cepstra(self, power: Tensor) -> Tensor:
        bands = finite_log(power @ self.filters.to(power).mT)
        cepstra = (bands @ self.cosines.to(power).mT).mT
        return torch.cat([finite_log(power.sum(-1))[:, None], cepstra[:, 1:]], dim=1)


def resample(wav: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Maps a waveform `(..., N)` to the rate `target_rate`: `(..., ceil(N * target / source))`.

    Sample 0 stays where it is. Polyphase, in float32: torchaudio's takes 3.4 s and 750 MB for 20 s
    from 44100 to 16384 Hz, which share no small factor; this takes 0.2 s. No gradients.
    """
    if min(source_rate, target_rate) < 1:
        raise ValueError(f"rates must be positive, got {source_rate} and {target_rate}")
    if wav.ndim < 1 or not wav.shape[-1]:
        raise ValueError(f"wav must be (..., N) with N >= 1, got {tuple(wav.shape)}")
    if source_rate == target_rate:
        return wav
    shared = math.gcd(source_rate, target_rate)
    up, down = target_rate // shared, source_rate // shared
    sound = wav.detach().cpu().to(torch.float32).numpy()
    out = resample_poly(sound, up, down, axis=-1, window=_low_pass(max(up, down)))
    return torch.from_numpy(np.ascontiguousarray(out)).to(wav)


@lru_cache(8)
def _low_pass(factor: int) -> Any:
    """Taps of the filter at `factor` times the lower rate."""
    taps = firwin(
        2 * RESAMPLED_REACH * factor + 1,
        (1 + RESAMPLED_SHARE) / 2 / factor,
        window=("kaiser", KAISER_BETA),
    )
    return taps.astype(np.float32)


def _whole(wav: Tensor) -> torch.autocast:
    """Turns autocast off: logarithms of quiet bands do not bear bfloat16."""
    # The meta device, on which shapes are worked out, knows no autocast.
    return torch.autocast("cpu" if wav.is_meta else wav.device.type, enabled=False)


def _check_wav(wav: Tensor, samples: int) -> None:
    if wav.ndim != 2 or wav.shape[1] < samples:
        raise ValueError(f"wav must be (B, N) with N >= {samples}, got {tuple(wav.shape)}")


def _liftered_cosines(count: int, n_filters: int, lifter: int) -> Tensor:
    """The orthonormal DCT-II `(count, n_filters)`, its rows scaled by the sine lifter."""
    order = torch.arange(count, dtype=torch.float64)
    band = torch.arange(n_filters, dtype=torch.float64) + 0.5
    cosines = torch.cos(math.pi / n_filters * order[:, None] * band) * math.sqrt(2 / n_filters)
    cosines[0] /= math.sqrt(2)
    lift = 1 + lifter / 2 * torch.sin(math.pi / lifter * order)
    return lift[:, None] * cosines
