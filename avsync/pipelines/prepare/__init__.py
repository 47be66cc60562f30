"""Prepare videos for training: faces are tracked, cropped and stored with their audio.

`prepare` makes or completes a store, and `store_landmarks` adds landmarks for the graph network.

    from avsync.pipelines.prepare import prepare

    print(prepare("videos", "store").describe())
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
