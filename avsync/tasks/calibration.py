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
    MAX_CALIBRATED_Z_SCORE) + prominence * peak.prominence + likelihood * peak.likelihood +
    max(peak.z_score - HIGH_Z_SCORE, 0))`,
    computed by `confidence` in `scoring/peak.py`, with the constants there. No coefficient is
    negative, so more of either never lowers it. The defaults are cautious, for weights without a
    calibration of their own.

    The interval is computed by `interval` in `scoring/offset_error.py`. Without `error_scale` it is
    the offset +- `sqrt(floor_ms ** 2 + (blur_ms / peak.z_score) ** 2)`. With it, it narrows as the
    evidence grows: the offset +- `sqrt(floor_ms ** 2 + w * (error_scale * e) ** 2 + (1 - w) *
    (blur_ms / peak.z_score) ** 2)`, where e is the standard error over n blocks of 1.2 s and w is
    `n / (n + EXPECTED_BLOCKS)`.

    Args:
        bias: of the confidence.
        z_score: of the confidence, by standard deviation of the peak's height.
        prominence: of the confidence, likewise.
        floor_ms: half the narrowest interval.
        blur_ms: half the interval at a z-score of 1, where few blocks say how far they spread.
        likelihood: of the confidence, by nat of the windows' mean log-likelihood.
        error_scale: half the interval in standard errors; 0 for the height of the peak alone.
        zero_uncertainty_ms: how far the model's zero, the offset at which it reports 0, may be from
            the moment at which lips and voice are together, to either side. It is one error for
            all files and no part of an interval. None where it was not determined.
        source_spread_ms: half-width around zero in which nine of ten people's recordings lie whose
            audio nobody moved: cameras and broadcast chains have constants of their own. From one
            file they cannot be distinguished from a later fault. None where it was not determined.
    """

    bias: float = -21.8
    z_score: float = 1.4
    prominence: float = 5.2
    floor_ms: float = 20.0
    blur_ms: float = 100.0
    likelihood: float = 0.0
    error_scale: float = 0.0
    zero_uncertainty_ms: float | None = None
    source_spread_ms: float | None = None


# Fields that calibrations of earlier releases lack.
OPTIONAL = ("likelihood", "error_scale", "zero_uncertainty_ms", "source_spread_ms")


def read_calibration(values: Mapping[str, Any]) -> Calibration:
    """Read a calibration as it is stored beside weights.

    Fields that earlier releases did not have may be missing, or null.

    Raises:
        RuntimeError: if another field is missing, or one is unknown or not a finite number.
    """
    names = [field.name for field in fields(Calibration)]
    required = [name for name in names if name not in OPTIONAL]
    given = {k: v for k, v in values.items() if v is not None or k not in OPTIONAL}
    numbers = {k: v for k, v in given.items() if isinstance(v, int | float) and math.isfinite(v)}
    if not set(required) <= set(given) <= set(names) or len(numbers) != len(given):
        raise RuntimeError(
            f"the calibration beside the weights must have the numbers {', '.join(required)}, and "
            f"may have {', '.join(OPTIONAL)}, got {dict(values)}"
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
