"""Audio front ends: waveforms `(B, N)` to log-mel, MFCC, filterbank energies or complex spectra.

Front ends are modules, or callables without weights, at 16 kHz unless stated otherwise: `LogMel`
(dense_sync, AVST), `DecibelMel` (VocaLiST, Wav2Lip), `WhisperMel` (Whisper), `Mfcc` (SyncNet),
`StackedFbank` (AV-HuBERT) and `ComplexStft` (Y-Net and its family). `resample` and `Resampler`
change the sample rate, `shift_pitch` the voice.

    from avsync.audio import LogMel

    mel = LogMel(n_mels=80)(wav)  # (B, N) -> (B, 80, S)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
