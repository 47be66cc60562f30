"""Train a model by a recipe, after an audit of its stores."""

from pathlib import Path
from typing import Any

from avsync.pipelines.audit.preflight import preflight_audit
from avsync.training.catalog import RECIPES
from avsync.training.recipes.dense_sync import DenseSyncRecipe


def train(settings: Any) -> Path:
    """Train a model by the settings of a recipe, after an audit of the stores it names.

    Args:
        settings: an instance of the settings class of any recipe in `RECIPES`.

    Returns:
        The path of the trained weights.

    Raises:
        ValueError: if the settings belong to no recipe.
    """
    for recipe in RECIPES.values():
        if type(settings) is recipe.settings:
            _audit_stores(settings)
            return recipe.train(settings)
    known = ", ".join(recipe.settings.__name__ for recipe in RECIPES.values())
    raise ValueError(f"settings must be one of {known}, got {type(settings).__name__}")


def _audit_stores(settings: Any) -> None:
    clips = settings if hasattr(settings, "data") else settings.clips
    if isinstance(settings, DenseSyncRecipe):
        known_ms: tuple[float, ...] = (settings.answer_offset_ms,)
    else:
        known_ms = clips.corpus_offset_ms
    preflight_audit(settings.loop.output, clips.data, clips.splits, known_ms)
