"""Losses: tensors in, a scalar out; they never see a model, a batch dict or a config.

There is one loss per file, named after its paper or its formula: SyncNet's margin contrastive loss,
Wav2Lip's cosine BCE, InfoNCE (AVST), N-way matching (Perfect Match), TalkLip's and SyncTalklip's
frame contrasts, thresholded SNR and bounded masks for separation, label smoothing, and the GAN
loss. Knowledge distillation is in `avsync.losses.distillation`. `chance` is the loss at chance
level, where a loss defines it.

    from avsync.losses import InfoNceLoss

    criterion = InfoNceLoss(temperature=0.07)
    loss = criterion(scores, in_sync)  # (B, K), (B,) -> scalar
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
