"""Extract features of videos and stores with a frozen sync model.

`extract_features` writes files, `video_features` and `clip_features` return arrays, and
`FrozenFeatures` maps crops or audio to vectors.

    from avsync.pipelines.features import extract_features

    for result in extract_features(["video.mp4"], "features", model="dense_sync"):
        print(result.describe())
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
