"""Recipes of `avsync train`: one module for each, in a package for each kind of task.

A recipe is a frozen dataclass of settings, whose fields are the flags of the command, and a
function `train(recipe)` that trains, or resumes the run, and returns the path of the weights. A new
module is found by `avsync.training.RECIPES`; it needs no entry elsewhere.

    from pathlib import Path

    from avsync.training import ClipData, LoopSettings
    from avsync.training.recipes import FineTuneRecipe, tune

    clips = ClipData(data=(Path("store"),), batch=8)
    recipe = FineTuneRecipe(clips, LoopSettings(Path("run"), steps=1000), encoders="all")
    tuned = tune(model, recipe).model
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
