"""The canvas a face is drawn on: millimetres to pixels, soft shapes, noise.

Its origin is between the eyes; x grows to the viewer's right, y downwards.
"""

import cv2
import numpy as np

# Millimetres around the origin: skull, chin with the jaw wide open, ears and hair fit inside.
LEFT, TOP, RIGHT, BOTTOM = -108.0, -150.0, 108.0, 158.0


class Canvas:
    """A grid of pixel centres over the face, in millimetres.

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
        """Return the rows and columns that cover a rectangle in millimetres."""
        s = self.scale
        rows = slice(max(0, int((top - TOP) * s)), min(self.height, int((bottom - TOP) * s) + 1))
        return rows, slice(max(0, int((left - LEFT) * s)), int((right - LEFT) * s) + 1)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Map millimetres `(..., 2)` to pixel coordinates, integers at pixel centres."""
        return (points - np.array([LEFT, TOP])) * self.scale - 0.5

    def noise(
        self, rng: np.random.Generator, grain_mm: float, elongation: float = 1.0
    ) -> np.ndarray:
        """Draw smooth noise `(height, width)` float32 of about unit deviation.

        Args:
            rng: random generator.
            grain_mm: size of its grain.
            elongation: height of a grain over its width.
        """
        columns = max(4, round((RIGHT - LEFT) / grain_mm))
        rows = max(4, round((BOTTOM - TOP) / (grain_mm * elongation)))
        coarse = rng.standard_normal((rows, columns)).astype(np.float32)
        return cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC)


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Return 0 below 0, 1 above 1, and a cubic in between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def gaussian(
    x: np.ndarray, y: np.ndarray, centre: tuple[float, float], size: tuple[float, float]
) -> np.ndarray:
    """Return a Gaussian of height 1 on open grids x `(1, w)` and y `(h, 1)`.

    Args:
        x, y: the grids.
        centre: x and y of the peak.
        size: standard deviations along x and y.
    """
    along_x = np.exp(-0.5 * ((x - centre[0]) / size[0]) ** 2)
    return along_x * np.exp(-0.5 * ((y - centre[1]) / size[1]) ** 2)


def blend(image: np.ndarray, colour: np.ndarray | float, alpha: np.ndarray) -> None:
    """Blend a colour `(3,)` or image over `image` `(h, w, 3)` in place, with opacity `(h, w)`."""
    image += (colour - image) * alpha[..., None]
