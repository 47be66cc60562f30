"""The calibration of each model's scores; `benchmarks/calibration.py` prints the rows."""

from avsync.scoring.offset import Calibration

CALIBRATIONS: dict[str, Calibration] = {
    "dense_sync": Calibration(
        slope=0.38, middle=9.201, margin_slope=0.433, floor_ms=12.0, blur_ms=160.0
    )
}


def calibration_of(model: str) -> Calibration:
    """The calibration of a model's scores, or a cautious one where none was fitted."""
    return CALIBRATIONS.get(model, Calibration())
