"""Evaluate sync models on prepared clips whose offset is known.

`measure_published` follows the published protocols (accuracy by context, LSE, primacy index);
`measure_clips` adds subsets of windows and the decision for each whole clip; `score_clip_band`
gives the score matrix that both start from. `compare_clip` scores a clip once, for excerpts of it
with any shift.

    from avsync.evaluation import PUBLISHED_PROTOCOLS, measure_published

    figures = measure_published(model, clips, PUBLISHED_PROTOCOLS["lrs2"])
    print(figures.accuracies(context=5, tolerance=1), figures.embedding_means())
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
