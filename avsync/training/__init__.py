"""Training: one loop for every model, and a recipe for each model that avsync can train.

`engine` has the loop (`fit`) with exact resume, early stopping, an EMA average of the weights, a
chance-level monitor, an overfit-one-batch test and a contact sheet of the first batch. `data` makes
batches out of prepared stores, `steps` joins models with their losses, and `recipes` holds the
settings and the `train` function of each recipe, which `RECIPES` lists by name.

    from pathlib import Path

    from avsync.training import RECIPES, ClipData, LoopSettings

    settings, train = RECIPES["vocalist"]
    recipe = settings(ClipData((Path("store"),)), LoopSettings(Path("run"), steps=1000))
    weights = train(recipe)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
