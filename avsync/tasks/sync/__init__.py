"""Sync models: score how well windows of a face and of audio match in time.

A sync model has a `spec` (`ClipSpec`) and three methods: `encode_video` and `encode_audio` map a
clip to one embedding per window, and `compare` maps pairs of embeddings to scores, higher for pairs
in sync. Any module with these can be scored, evaluated and trained.

    import torch
    from avsync.tasks.sync import DenseSyncConfig, build_dense_sync

    model = build_dense_sync(DenseSyncConfig()).eval()  # fresh weights
    video = model.encode_video(torch.rand(1, 3, 10, 56, 56))  # 6 windows
    audio = model.encode_audio(torch.randn(1, 16000), torch.arange(6) / 25)
    scores = model.compare(video, audio)  # (1, 6)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
