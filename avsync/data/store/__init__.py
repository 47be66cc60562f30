"""Stores of prepared clips: crops and audio of one face each, memory-mapped from .npy files.

`Store` reads a store and `SourceWriter` writes one; `clips_of_split` selects the clips of a split,
`read_clean_lists` and `write_clean_list` handle tables of clips that are dropped or moved, and
`measure_clip` computes statistics of a clip.

    from avsync.data.store import Store, clips_of_split

    store = Store("store")
    train = clips_of_split(store, "store/splits.json", "train")
    clip = store[train[0]]
    print(clip.id, clip.face.shape, clip.wav_16k.shape)  # (T, 96, 96, 3) uint8, (T * 640,)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
