"""How often what is said with a confidence is so."""

import numpy as np

BINS = 10


def reliability(sure: np.ndarray, held: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean confidence, share that held, and count, of each tenth of [0, 1] that has any."""
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        (float(sure[bins == b].mean()), float(held[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]


def calibration_error(sure: np.ndarray, held: np.ndarray) -> float:
    """The expected calibration error: mean gap of confidence and truth over the tenths."""
    rows = reliability(sure, held)
    return sum(n * abs(said - true) for said, true, n in rows) / max(len(sure), 1)
