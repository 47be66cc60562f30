"""The calibration of each model's scores; `benchmarks/calibration.py` prints the rows."""

from avsync.scoring.offset import Calibration

CALIBRATIONS: dict[str, Calibration] = {
    "dense_sync": Calibration(
        slope=0.244, middle=5.971, margin_slope=0.284, floor_ms=12.0, blur_ms=149.4
    )
}


def calibration_of(model: str) -> Calibration:
    """The calibration of a model's scores, or a cautious one where none was fitted."""
    return CALIBRATIONS.get(model, Calibration())
