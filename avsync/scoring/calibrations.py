"""The calibration of each model's scores; `benchmarks/sync/calibration.py` prints the rows."""

from avsync.scoring.offset import Calibration

CALIBRATIONS: dict[str, Calibration] = {
    "dense_sync": Calibration(
        bias=-18.315, height=1.339, sharpness=4.916, floor_ms=19.0, blur_ms=100.0
    )
}


def calibration_of(model: str) -> Calibration:
    """The calibration of a model's scores, or a cautious one where none was fitted."""
    return CALIBRATIONS.get(model, Calibration())
