"""Fusion: combine the tokens of two streams, knowing nothing of pixels, mel or labels.

`CrossModalTransformer` lets one stream attend to the other (MulT, as in VocaLiST),
`JointTransformer` attends over both streams and a CLS token (AVST), `TemporalConvFusion` is a
temporal convolutional network (TCN) over audio features conditioned on visual tokens, and `Film`
scales and shifts the channels of a feature map (FiLM).

    from avsync.fusion import CrossModalTransformer

    fusion = CrossModalTransformer(dim=512, depth=4, heads=8)
    tokens = fusion(queries, context)  # (B, L, 512), (B, K, 512) -> (B, L, 512)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
