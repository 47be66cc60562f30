"""Separation models: extract the voice of one face from a mixture.

A separation model has a `spec` (`SeparationSpec`), `encode_video`, which maps crops or landmarks of
a face to tokens, and `separate`, which maps a mixture and these tokens to the voice. `UNet` uses
the audio alone.

    import torch
    from avsync.tasks.separation import LipMaskConfig, build_lip_mask

    model = build_lip_mask(LipMaskConfig()).eval()  # fresh weights
    tokens = model.encode_video(torch.rand(1, 3, 25, 56, 56))  # one second of mouth crops
    voice = model.separate(torch.randn(1, 16000), tokens)  # (1, 16000)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
