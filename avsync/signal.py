"""Waveform to spectral features. The only file that imports torchaudio."""

import torchaudio
from torch import Tensor, nn

from avsync.timing import SAMPLE_RATE


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
        return (self.mel(wav) + self.floor).log()
