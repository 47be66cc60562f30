"""Log-mel spectrograms of dense_sync, AVST, VocaLiST, Wav2Lip's expert and Whisper.

The only module that imports torchaudio.
"""

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from avsync.timing import SAMPLE_RATE


class LogMel(nn.Module):
    """Log-mel spectrogram of the waveform without padding.

    Column k sees samples `[k * hop_length, k * hop_length + n_fft)` only, so it does not depend on
    where the waveform was cut, and blocks of a stream give the same columns as the whole.

    Args:
        n_mels: mel bands.
        n_fft: samples of one column.
        win_length: samples under the Hann window, centred in the column's samples.
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
        """Map waveforms to log-mel powers.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.

        Returns:
            Log powers `(B, M, S)`, S = 1 + (N - n_fft) // hop_length.
        """
        _check_wav(wav, self.n_fft)
        with _no_autocast(wav):
            return (self.mel(wav) + self.floor).log()


class DecibelMel(nn.Module):
    """Log-mel spectrogram of VocaLiST and of Wav2Lip's expert, in decibels, 80 columns a second.

    Magnitudes of 80 Slaney bands from 55 to 7600 Hz are converted to decibels and scaled to
    [-4, 4]: -80 dB and less becomes -4, 20 dB and more becomes 4.

    A column sees 800 samples around its own 200, so the two columns at either end depend on what
    lies beyond the ends of the audio. The public code has it both ways: its tests take columns from
    the mel of a whole clip (`forward`), where they see the neighbouring audio; its training cut the
    window's samples first and mirrored them at their ends (`forward` of the cut, without its last
    column). The first two and the last of a window's 16 columns differ between the two, by up to a
    third of the range. `columns` does not pad, and equals the interior of `forward` of the whole.

    Args:
        preemphasis: pre-emphasis coefficient: 0 for VocaLiST, 0.97 for the expert. Their columns
            differ by 0.6 on average, so they cannot be exchanged.
    """

    n_mels, n_fft, hop_length = 80, 800, 200
    f_min, f_max = 55.0, 7600.0

    def __init__(self, preemphasis: float = 0.0) -> None:
        super().__init__()
        self.preemphasis = preemphasis
        # Samples that `columns` needs before the first column's own.
        self.samples_before = 1 if preemphasis else 0
        self.filters = _slaney_filters(self.n_fft, self.n_mels, self.f_min, self.f_max)

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms to log-mel columns, mirroring the ends of the audio.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.

        Returns:
            Columns `(B, 80, 1 + N // 200)` in [-4, 4]; column k is centred on sample 200 k.
        """
        _check_wav(wav, self.n_fft // 2 + 1)
        emphasised = self._preemphasise(F.pad(wav, (self.samples_before, 0)))
        half = self.n_fft // 2
        return self._decibels(F.pad(emphasised, (half, half), mode="reflect")).to(wav.dtype)

    def columns(self, wav: Tensor) -> Tensor:
        """Map waveforms to log-mel columns without padding.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.

        Returns:
            Columns `(B, 80, S)`, S = 1 + (N - samples_before - 800) // 200. Column k sees samples
            `[200 k, 200 k + 800)`; pre-emphasis needs the sample before as well, which shifts them
            all one sample later.
        """
        _check_wav(wav, self.n_fft + self.samples_before)
        return self._decibels(self._preemphasise(wav)).to(wav.dtype)

    def _preemphasise(self, wav: Tensor) -> Tensor:
        if not self.preemphasis:
            return wav.to(torch.promote_types(wav.dtype, torch.float32))
        # In float64, as in the public code: neighbouring samples nearly cancel.
        precise = wav.double()
        return precise[:, 1:] - self.preemphasis * precise[:, :-1]

    def _decibels(self, wav: Tensor) -> Tensor:
        spectrum = torch.stft(
            wav,
            self.n_fft,
            self.hop_length,
            window=torch.hann_window(self.n_fft, dtype=wav.dtype, device=wav.device),
            center=False,
            return_complex=True,
        )
        with _no_autocast(wav):
            mel = (spectrum.abs().mT @ self.filters.to(wav)).mT
        decibels = 20 * mel.clamp_min(1e-5).log10() - 20
        return (8 * (decibels + 100) / 100 - 4).clamp(-4, 4)


class WhisperMel(nn.Module):
    """Log-mel spectrogram of Whisper, 100 columns a second.

    Powers of 80 Slaney bands from 0 to 8000 Hz as `(4 + log10) / 4`; weaker powers are raised to a
    limit. For Whisper, and in `forward`, the limit is 80 dB below the loudest power of the whole
    waveform. In `columns` it is fixed, so that a column does not depend on where the waveform was
    cut: speech of usual level reaches 10 ** 2, for which the two limits are equal. A limit below
    the loudest power of a neighbourhood would fall in pauses, and differ more.

    Source: Radford, Kim, Xu, Brockman, McLeavey and Sutskever, Robust Speech Recognition via
    Large-Scale Weak Supervision (arXiv 2212.04356, 2022), and its public code.
    """

    n_mels, n_fft, hop_length = 80, 400, 160
    # The weakest band power, and how far below the loudest one the others may be, in log10.
    floor, dynamic_range = 1e-10, 8.0

    def __init__(self) -> None:
        super().__init__()
        self.filters = _slaney_filters(self.n_fft, self.n_mels, 0.0, SAMPLE_RATE / 2)

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms to log-mel columns, mirroring the ends of the audio.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.

        Returns:
            Columns `(B, 80, N // 160)`; column k is centred on sample 160 k.
        """
        half = self.n_fft // 2
        _check_wav(wav, half + 1)
        # Whisper drops the last column.
        log_power = self._log_power(F.pad(wav, (half, half), mode="reflect"))[..., :-1]
        limit = log_power.amax((1, 2), keepdim=True) - self.dynamic_range
        return ((torch.maximum(log_power, limit) + 4) / 4).to(wav.dtype)

    def columns(self, wav: Tensor, limit: float = -6.0) -> Tensor:
        """Map waveforms to log-mel columns without padding and with a fixed limit.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.
            limit: log10 of the power to which weaker ones are raised.

        Returns:
            Columns `(B, 80, S)`, S = 1 + (N - 400) // 160. Column k sees samples
            `[160 k, 160 k + 400)` only.
        """
        _check_wav(wav, self.n_fft)
        return ((self._log_power(wav).clamp_min(limit) + 4) / 4).to(wav.dtype)

    def _log_power(self, wav: Tensor) -> Tensor:
        wav = wav.to(torch.promote_types(wav.dtype, torch.float32))
        spectrum = torch.stft(
            wav,
            self.n_fft,
            self.hop_length,
            window=torch.hann_window(self.n_fft, dtype=wav.dtype, device=wav.device),
            center=False,
            return_complex=True,
        )
        with _no_autocast(wav):
            mel = ((spectrum.abs() ** 2).mT @ self.filters.to(wav)).mT
        return mel.clamp_min(self.floor).log10()


def _no_autocast(wav: Tensor) -> torch.autocast:
    """Disable autocast: logarithms of quiet bands need more precision than bfloat16."""
    # The meta device, which is used to infer shapes, does not support autocast.
    return torch.autocast("cpu" if wav.is_meta else wav.device.type, enabled=False)


def _slaney_filters(n_fft: int, n_mels: int, f_min: float, f_max: float) -> Tensor:
    """Return mel filters `(n_fft // 2 + 1, n_mels)`, for an attribute that is no buffer.

    Never on the meta device: the filters must keep their precision in a model that is cast to
    bfloat16 or built before its weights are read.
    """
    with torch.device("cpu"):
        filters: Tensor = torchaudio.functional.melscale_fbanks(
            n_freqs=n_fft // 2 + 1,
            f_min=f_min,
            f_max=f_max,
            n_mels=n_mels,
            sample_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
    return filters


def _check_wav(wav: Tensor, samples: int) -> None:
    if wav.ndim != 2 or wav.shape[1] < samples:
        raise ValueError(f"wav must be (B, N) with N >= {samples}, got {tuple(wav.shape)}")
