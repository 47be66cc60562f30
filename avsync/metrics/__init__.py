"""Metrics: tensors or texts in, numbers out, as published evaluations compute them.

Separation: SI-SDR and BSS Eval v3 and v4 (equal to museval). Sync: accuracy by the protocol of
Perfect Match and VocaLiST, LSE-D and LSE-C of SyncNet, and the primacy index (PRI) of SyncTalklip.
Images: PSNR and SSIM. Lip reading: word error rate (WER).

    from avsync.metrics import lip_sync_error, si_sdr

    si_sdr(references, estimates)  # (..., N), (..., N) -> dB (...)
    lip_sync_error(video, audio).lse_d  # embeddings (n, D), (n, D)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
