"""The sheet a face is drawn on: millimetres of the face to pixels, soft shapes, noise.

Its origin lies between the eyes; x grows to the viewer's right, y downwards.
"""

import cv2
import numpy as np

# Millimetres around the origin: skull, chin with the jaw wide open, ears and hair fit inside.
LEFT, TOP, RIGHT, BOTTOM = -108.0, -150.0, 108.0, 158.0


class Canvas:
    """A grid over the face.

    Args:
        scale: pixels per millimetre.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.width = round((RIGHT - LEFT) * scale)
        self.height = round((BOTTOM - TOP) * scale)
        self.x = (LEFT + (np.arange(self.width, dtype=np.float32) + 0.5) / scale)[None]
        self.y = (TOP + (np.arange(self.height, dtype=np.float32) + 0.5) / scale)[:, None]

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns that cover these millimetres."""
        s = self.scale
        rows = slice(max(0, int((top - TOP) * s)), min(self.height, int((bottom - TOP) * s) + 1))
        return rows, slice(max(0, int((left - LEFT) * s)), int((right - LEFT) * s) + 1)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Millimetres `(..., 2)` to pixel coordinates whose integers are pixel centres."""
        return (points - np.array([LEFT, TOP])) * self.scale - 0.5

    def noise(self, rng: np.random.Generator, grain_mm: float, stretch: float = 1.0) -> np.ndarray:
        """Smooth noise `(height, width)` float32 of unit spread; `stretch` > 1 draws it out
        downwards."""
        columns = max(4, round((RIGHT - LEFT) / grain_mm))
        rows = max(4, round((BOTTOM - TOP) / (grain_mm * stretch)))
        coarse = rng.standard_normal((rows, columns)).astype(np.float32)
        return cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC)


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def bump(
    x: np.ndarray, y: np.ndarray, at: tuple[float, float], size: tuple[float, float]
) -> np.ndarray:
    """A Gaussian hill of height 1 at a place, with these half-widths, on open grids x `(1, w)` and
    y `(h, 1)`."""
    return np.exp(-0.5 * ((x - at[0]) / size[0]) ** 2) * np.exp(-0.5 * ((y - at[1]) / size[1]) ** 2)


def mix(image: np.ndarray, colour: np.ndarray | float, alpha: np.ndarray) -> None:
    """Lays a colour `(3,)` or picture over `image` `(h, w, 3)` in place, as opaque as `alpha` `(h,
    w)` says."""
    image += (colour - image) * alpha[..., None]
