"""Random access and random draws of training examples from the clips of a store.

`ClipWindows` cuts frames and audio in a task's geometry. `SyncPairs` and `SyncSequences` draw for
sync models, `MouthSequences` for dense_sync, `Mixtures` and `TwoSpeakerMixtures` for separation,
`Utterances` for lip reading, `TalkingClips` for talking faces.

    import numpy as np

    from avsync.data import Store
    from avsync.data.sampling import ClipWindows, SyncPairs
    from avsync.tasks import ClipSpec

    store = Store("store")
    spec = ClipSpec("face", 48, 96, 5, 0.0, 0.2, lower_half=True)
    pairs = SyncPairs(ClipWindows(store, range(len(store)), spec))
    frames, wav, label = pairs.draw(np.random.default_rng(0))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
