"""The calibration of each model's scores; `benchmarks/calibration.py` prints the rows."""

from avsync.scoring.offset import Calibration

CALIBRATIONS: dict[str, Calibration] = {
    "dense_sync": Calibration(
        bias=-6.08, margin=0.818, crest=0.319, crest_margin=0.205, floor_ms=20.0, blur_ms=50.0
    )
}


def calibration_of(model: str) -> Calibration:
    """The calibration of a model's scores, or a cautious one where none was fitted."""
    return CALIBRATIONS.get(model, Calibration())
