"""A detector that takes red for a face, as in the top left quarter of the rendered clips."""

import numpy as np

from avsync.faces.crops import Face

FACE_POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


class RedDetector:
    """Detect the box of all red pixels, from call `first` to call `last`."""

    name = "red"
    stride = 5

    def __init__(self, first: int = 0, last: int = 10**9) -> None:
        self.first, self.last = first, last
        self.calls = 0

    def __call__(self, image: np.ndarray) -> list[Face]:
        self.calls += 1
        red, green = image[..., 0].astype(int), image[..., 1].astype(int)
        y, x = np.nonzero(red - green > 80)
        if not self.first < self.calls <= self.last or not len(x):
            return []
        box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float)
        return [Face(box, box[:2] + FACE_POINTS * (box[2:] - box[:2]), 0.9)]
