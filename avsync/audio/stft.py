"""Complex STFT and its inverse, with complex masks, for separation models of the Y-Net family.

Source: Montesinos, Kadandale and Haro, A cappella: Audio-visual Singing Voice Separation (BMVC
2021).
"""

import torch
from einops import rearrange, repeat
from torch import Tensor


class ComplexStft:
    """Short-time Fourier transform to 512 complex bins, 64 columns a second at 16384 Hz.

    Hann windows of 1022 samples every 256 samples, with mirrored ends and no scaling. A network
    sees every second bin, and each bin of its masks applies to two. It is no module, as it has
    nothing to learn or to save.

    Args:
        n_fft: samples of a window; other tasks have shorter ones.
        hop_length: samples from one column to the next.
    """

    # Bins of a mask, with the default window.
    mask_bins = 256

    def __init__(self, n_fft: int = 1022, hop_length: int = 256) -> None:
        self.n_fft, self.hop_length = n_fft, hop_length
        self.bins = n_fft // 2 + 1

    def columns(self, samples: int) -> int:
        """Return the number of columns of a waveform with this number of samples."""
        return 1 + samples // self.hop_length

    def __call__(self, wav: Tensor) -> Tensor:
        """Map a waveform `(B, N)` to a complex spectrum `(B, 512, 1 + N // 256)`."""
        if wav.ndim != 2 or wav.shape[1] <= self.n_fft // 2:
            expected = f"(B, N) with N > {self.n_fft // 2}"
            raise ValueError(f"wav must be {expected}, got {tuple(wav.shape)}")
        wav = wav.to(torch.promote_types(wav.dtype, torch.float32))
        return torch.stft(
            wav, self.n_fft, self.hop_length, window=self._window(wav), return_complex=True
        )

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """Map a complex spectrum `(B, 512, S)` to a waveform `(B, samples)`."""
        window = self._window(spectrum.real)
        return torch.istft(spectrum, self.n_fft, self.hop_length, window=window, length=samples)

    def even_bins(self, spectrum: Tensor) -> Tensor:
        """Select the even bins `(B, 256, S)`, on which masks are estimated, of `(B, 512, S)`."""
        return spectrum[:, ::2]

    def as_channels(self, spectrum: Tensor) -> Tensor:
        """Map a complex spectrum `(B, F, S)` to its real and imaginary part `(B, 2, F, S)`."""
        return rearrange(torch.view_as_real(spectrum), "b f s two -> b two f s")

    def mask(self, logits: Tensor, spectrum: Tensor) -> Tensor:
        """Multiply a spectrum by complex masks, each bin of which applies to two bins.

        Args:
            logits: real and imaginary part of the masks `(B, 2, 256, S)`.
            spectrum: complex spectrum `(B, 512, S)`.

        Returns:
            Complex spectrum `(B, 512, S)`.
        """
        ratio = torch.complex(*logits.to(spectrum.real.dtype).unbind(1))
        return repeat(ratio, "b f s -> b (f two) s", two=2) * spectrum

    def _window(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.n_fft, dtype=like.dtype, device=like.device)
