"""Waveform to complex spectrum and back, as the Y-Net family hears it.

Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC 2021).
"""

import torch
from einops import rearrange, repeat
from torch import Tensor


class ComplexStft:
    """Complex spectra of 512 bins, 64 columns a second at 16384 Hz, and waveforms from them.

    Hann windows of 1022 samples, one every 256, mirrored ends, no scaling. A network sees every
    second bin; its masks hold for two bins each. No module: there is nothing to learn or to save.

    Args:
        n_fft: samples under a window; other tasks have shorter ones.
        hop_length: samples from one column to the next.
    """

    mask_bins = 256

    def __init__(self, n_fft: int = 1022, hop_length: int = 256) -> None:
        self.n_fft, self.hop_length = n_fft, hop_length
        self.bins = n_fft // 2 + 1

    def columns(self, samples: int) -> int:
        """Columns of a spectrum of that many samples."""
        return 1 + samples // self.hop_length

    def __call__(self, wav: Tensor) -> Tensor:
        """Maps a waveform `(B, N)` to a complex spectrum `(B, 512, 1 + N // 256)`."""
        if wav.ndim != 2 or wav.shape[1] <= self.n_fft // 2:
            wanted = f"(B, N) with N > {self.n_fft // 2}"
            raise ValueError(f"wav must be {wanted}, got {tuple(wav.shape)}")
        wav = wav.to(torch.promote_types(wav.dtype, torch.float32))
        return torch.stft(
            wav, self.n_fft, self.hop_length, window=self._window(wav), return_complex=True
        )

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """Maps a complex spectrum `(B, 512, S)` to a waveform `(B, samples)`."""
        window = self._window(spectrum.real)
        return torch.istft(spectrum, self.n_fft, self.hop_length, window=window, length=samples)

    def even_bins(self, spectrum: Tensor) -> Tensor:
        """Maps a complex spectrum `(B, 512, S)` to what masks are for: bins 0, 2, ..., 510."""
        return spectrum[:, ::2]

    def as_channels(self, spectrum: Tensor) -> Tensor:
        """Maps a complex spectrum `(B, F, S)` to its real and its imaginary part `(B, 2, F, S)`."""
        return rearrange(torch.view_as_real(spectrum), "b f s two -> b two f s")

    def mask(self, logits: Tensor, spectrum: Tensor) -> Tensor:
        """Multiplies a spectrum `(B, 512, S)` by complex masks, real and imaginary part `(B, 2,
        256, S)`: every number of a mask holds for two bins.
        """
        ratio = torch.complex(*logits.to(spectrum.real.dtype).unbind(1))
        return repeat(ratio, "b f s -> b (f two) s", two=2) * spectrum

    def _window(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.n_fft, dtype=like.dtype, device=like.device)
