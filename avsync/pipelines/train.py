"""Train a model by a recipe, after a preflight audit of the stores that it is trained on."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avsync.atomic import write_text
from avsync.pipelines.audit.audit_store import audit
from avsync.training.catalog import RECIPES
from avsync.training.engine.checkpoint import STATE_FILE

AUDIT_FILE = "audit.txt"
# Enough to notice in seconds a flaw that a tenth of the clips have.
CLIPS, MEASURED = 60, 12


def train_recipe(settings: Any) -> Path:
    """Train a model by the settings of a recipe, after an audit of the stores it names.

    Args:
        settings: an instance of the settings class of any recipe in `RECIPES`.

    Returns:
        The path of the trained weights.

    Raises:
        ValueError: the settings belong to no recipe.
    """
    for recipe in RECIPES.values():
        if type(settings) is recipe.settings:
            _audit_stores(settings)
            return recipe.train(settings)
    known = ", ".join(recipe.settings.__name__ for recipe in RECIPES.values())
    raise ValueError(f"settings must be one of {known}, got {type(settings).__name__}")


def preflight_audit(
    output: Path,
    data: Sequence[Path],
    splits: Path | None = None,
    expected_ms: Sequence[float] = (),
) -> list[str]:
    """Audit the stores of a training run: write `audit.txt`, warn, and refuse nothing.

    A run that is resumed was audited when it began, and of several processes only the first audits.

    Args:
        output: folder of the run.
        data: stores of prepared clips.
        splits: splits of the first of them.
        expected_ms: offset of each store's clips, 0 if not given.

    Returns:
        The warnings.
    """
    if (output / STATE_FILE).is_file() or int(os.environ.get("RANK", "0")):
        return []
    audits = [
        audit(
            path,
            splits=splits if number == 0 else None,
            clips=CLIPS,
            measured=MEASURED,
            corpus_offset_ms=expected_ms[number] if number < len(expected_ms) else 0.0,
        )
        for number, path in enumerate(data)
    ]
    lines = [line for found in audits for line in found.lines()]
    write_text(output / AUDIT_FILE, "\n".join(lines) + "\n")
    messages = [message for found in audits for message in found.warnings()]
    for message in messages:
        warnings.warn(message, stacklevel=2)
    return messages


def _audit_stores(settings: Any) -> None:
    clips = settings if hasattr(settings, "data") else settings.clips
    # dense_sync is trained without taking the offset of its corpus off; its answers are corrected.
    corrected = hasattr(settings, "answer_offset_ms")
    expected_ms = (settings.answer_offset_ms,) if corrected else clips.corpus_offset_ms
    preflight_audit(settings.loop.output, clips.data, clips.splits, expected_ms)
