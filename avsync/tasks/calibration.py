"""Calibration of a sync model's scores: from a peak to a confidence and an interval."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

HOW_TO_FIT = (
    "fit one with `python benchmarks/sync/calibration.py --model NAME --weights FILE --data STORE "
    "--splits FILE --write`"
)


@dataclass(frozen=True)
class Calibration:
    """Coefficients that map a peak to a confidence and an interval, fitted on held-out clips.

    The confidence is `INTERVAL_COVERAGE * sigmoid(bias + z_score * min(peak.z_score,
    MAX_CALIBRATED_Z_SCORE) + prominence * peak.prominence + max(peak.z_score - HIGH_Z_SCORE, 0))`,
    computed by `confidence` in `scoring/peak.py`, with the constants there. No coefficient is
    negative, so more of either never lowers it. The interval
    is the offset +- `sqrt(floor_ms ** 2 + (blur_ms / peak.z_score) ** 2)`. The defaults are
    cautious, for weights without a calibration of their own.
    """

    bias: float = -21.8
    z_score: float = 1.4
    prominence: float = 5.2
    floor_ms: float = 20.0
    blur_ms: float = 100.0


def read_calibration(values: Mapping[str, Any]) -> Calibration:
    """Read a calibration as it is stored beside weights.

    Raises:
        RuntimeError: if a field is missing, unknown, or not a finite number.
    """
    names = [field.name for field in fields(Calibration)]
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float) and math.isfinite(v)}
    if sorted(values) != sorted(names) or len(numbers) != len(names):
        raise RuntimeError(
            f"the calibration beside the weights must have the numbers {', '.join(names)}, "
            f"got {dict(values)}"
        )
    return Calibration(**{name: float(value) for name, value in numbers.items()})


def calibration_of(model: object) -> Calibration:
    """Return the attribute `calibration` of a sync model.

    A model without one, such as a fine-tuned one, gets the cautious defaults, with a warning.
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
