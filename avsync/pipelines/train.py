"""Train a model by a recipe, after a preflight audit of the stores that it is trained on."""

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from avsync.atomic import write_text
from avsync.extras import require_extra
from avsync.outputs import OutputKind, check_output, csv_kind, is_earlier_output
from avsync.pipelines.audit.audit_store import audit
from avsync.tasks.registry import list_models
from avsync.training.catalog import RECIPES
from avsync.training.engine.checkpoint import STATE_FILE
from avsync.training.engine.contact_sheet import SHEET_FILE
from avsync.training.engine.run_log import LOG_FILE
from avsync.weights import SAFETENSORS

AUDIT_FILE = "audit.txt"
# Enough to notice in seconds a flaw that a tenth of the clips have.
CLIPS, MEASURED = 60, 12
# By these a folder of a run is recognised, in which a run may replace files.
LOG = csv_kind("the log of a run", "step", "seconds", "loss", "chance")
AUDIT = OutputKind(
    "the audit of a run", lambda head: re.match(rb"\d+ clips of .*\n(ok|!!) ", head) is not None
)


def train_recipe(settings: Any) -> Path:
    """Train a model by the settings of a recipe, after an audit of the stores it names.

    Args:
        settings: an instance of the settings class of any recipe in `RECIPES`.

    Returns:
        The path of the trained weights.

    Raises:
        ValueError: the settings belong to no recipe, or an input would be replaced.
        OSError: the output has files of a run's names and is no folder of a run.
        RuntimeError: packages for training are missing.
    """
    for recipe in RECIPES.values():
        if type(settings) is recipe.settings:
            _check_start(settings)
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


def check_run_folder(output: Path, inputs: Sequence[Path] = ()) -> None:
    """Check that a folder is that of a run, or holds nothing that a run would replace.

    Raises:
        ValueError: the weights of the run would replace an input.
        OSError: it is a file, or holds files of a run's names and no log of a run.
    """
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"output must be a folder, but {output} is a file")
    weights = [output / f"{card.name}.safetensors" for card in list_models()]
    for path in weights:
        check_output(path, SAFETENSORS, inputs, overwrite=None)
    if (output / LOG_FILE).is_file() and is_earlier_output(output / LOG_FILE, LOG):
        return
    check_output(output / LOG_FILE, LOG, overwrite=None)
    check_output(output / AUDIT_FILE, AUDIT, overwrite=None)
    for path in (*weights, output / SHEET_FILE):
        if path.exists():
            raise FileExistsError(
                f"{path} exists, and {output} is no folder of a run: choose another output"
            )


def _check_start(settings: Any) -> None:
    require_extra("train", "avsync train")
    if settings.loop.tensorboard:
        require_extra("tensorboard", "--tensorboard")
    check_run_folder(settings.loop.output, _input_files(settings))


def _input_files(settings: Any) -> list[Path]:
    """Return the files that settings name, also those within them."""
    values: list[Any] = [getattr(settings, field.name) for field in fields(settings)]
    nested = [path for value in values if is_dataclass(value) for path in _input_files(value)]
    return nested + [value for value in values if isinstance(value, Path) and value.is_file()]


def _audit_stores(settings: Any) -> None:
    clips = settings if hasattr(settings, "data") else settings.clips
    # dense_sync is trained without taking the offset of its corpus off; its answers are corrected.
    corrected = hasattr(settings, "answer_offset_ms")
    expected_ms = (settings.answer_offset_ms,) if corrected else clips.corpus_offset_ms
    preflight_audit(settings.loop.output, clips.data, clips.splits, expected_ms)
