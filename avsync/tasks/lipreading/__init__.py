"""Lip reading: transcribe speech from mouth crops, audio or both.

`LipReader` is AV-HuBERT's encoder with a transformer decoder, `Vocabulary` the characters or words
of its texts; `beam_search` works with any model of the next symbol.

    import torch
    from avsync.tasks.lipreading import LipReaderConfig, build_lip_reader

    model = build_lip_reader(LipReaderConfig()).eval()  # fresh weights
    texts = model.read(torch.rand(1, 3, 25, 88, 88), beam=5)  # one second of mouth crops
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
