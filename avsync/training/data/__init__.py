"""Training data: batches for `fit`, and held-out clips, out of stores of prepared clips.

`ClipData` and `MixtureData` are the settings of a recipe's data. Each `..._batches` function opens
the stores and returns a function that makes a batch from random generators alone.

    from pathlib import Path

    from avsync.training.data import ClipData, Negatives, pair_batches

    clips = ClipData(data=(Path("store"),), batch=8)
    curriculum = pair_batches(clips, Negatives(), model.spec)
    frames, audio, in_sync = curriculum.at(0.0)(rng, draws)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
