"""The calibration of a model's scores, read from the config beside its weights."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from avsync.scoring.offset import Calibration

if TYPE_CHECKING:
    from avsync.scoring.engine import SyncModel

HOW_TO_FIT = "fit one with `python benchmarks/calibration.py --weights FILE --write`"


def read_calibration(values: Mapping[str, Any]) -> Calibration:
    """Read a calibration as it is stored beside weights.

    Raises:
        RuntimeError: a field is missing, unknown, or no finite number.
    """
    names = [field.name for field in fields(Calibration)]
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float) and math.isfinite(v)}
    if sorted(values) != sorted(names) or len(numbers) != len(names):
        raise RuntimeError(
            f"the calibration beside the weights must have the numbers {', '.join(names)}, "
            f"got {dict(values)}"
        )
    return Calibration(**{name: float(value) for name, value in numbers.items()})


def calibration_of(model: "SyncModel") -> Calibration:
    """Return the calibration that a model has in its attribute `calibration`.

    A model without one, such as a fine-tuned one, gets a cautious default, with a warning.
    """
    known: Calibration | None = getattr(model, "calibration", None)
    if known is not None:
        return known
    warnings.warn(
        f"this {type(model).__name__} has no calibration of its own: confidences and intervals "
        f"are those of a cautious default; {HOW_TO_FIT}",
        stacklevel=2,
    )
    return Calibration()
