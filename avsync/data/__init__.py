"""Training data: stores of prepared clips, corpora, caches, sampling and augmentation.

`Store` reads the clips that `avsync.prepare` made. `store` has all of reading, writing and curating
a store, `corpora` lists the files of corpora, `cache` keeps what is computed once, `sampling` draws
training examples, and `augment_*` functions augment batches.

    from avsync.data import Store

    for clip in Store("store"):
        print(clip.id, clip.duration_s, clip.mouth.shape)  # (T, 96, 96, 3) uint8, mapped from disk
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
