"""Eyes: ball, iris, lids and lashes at any stage of a blink, kept once drawn; and glasses before
them."""

import numpy as np

from avsync.synthetic.canvas import Canvas, mix, smoothstep
from avsync.synthetic.identity import Identity

_BLINK_STEPS = 6
_GAZE_STEP_MM = 0.7


class EyePainter:
    """Draws one person's two eyes into a strip of the canvas."""

    def __init__(self, canvas: Canvas, who: Identity, shade: np.ndarray) -> None:
        self.who = who
        self.window = canvas.window(-62, -24, 62, 24)
        rows, columns = self.window
        self.x, self.y = canvas.x[:, columns], canvas.y[rows]
        self.scale = canvas.scale
        self.light = shade[self.window][..., None]
        self.glasses = self._glasses() if who.glasses else None
        self._drawn: dict[tuple[int, int, int], tuple[np.ndarray, np.ndarray]] = {}

    def paint(self, rgb: np.ndarray, openness: float, gaze_mm: tuple[float, float]) -> None:
        """Draws into `rgb` (h, w, 3) float32, the window's part of the skin; `openness` in [0,
        1]."""
        key = (
            round(openness * _BLINK_STEPS),
            round(gaze_mm[0] / _GAZE_STEP_MM),
            round(gaze_mm[1] / _GAZE_STEP_MM),
        )
        if key not in self._drawn:
            self._drawn[key] = self._draw(key)
        colour, alpha = self._drawn[key]
        rgb *= 1 - alpha
        rgb += colour

    def _draw(self, key: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Colour times alpha, and alpha, of lids, balls and glasses for a state."""
        shape = (len(self.y), self.x.shape[1])
        layer = np.zeros((*shape, 4), np.float32)
        for side in (-1, 1):
            self._eye(layer, side, key)
        if self.glasses is not None:
            for colour, cover in self.glasses:
                _lay(layer, colour, cover)
        return layer[..., :3], layer[..., 3:]

    def _eye(self, layer: np.ndarray, side: int, key: tuple[int, int, int]) -> None:
        who, openness = self.who, key[0] / _BLINK_STEPS
        x, y = self.x - side * who.eye_x, self.y
        # t runs from the inner corner (-1) to the outer one (1), which sits a little higher.
        t = side * x / who.eye_half
        arch = np.clip(1 - t**2, 0, 1) ** 0.75
        tilt = -1.2 * t
        lower = tilt + 3.0 * arch
        upper = tilt + lower * 0 + (3.0 - openness * (3.0 + 5.2 * who.eye_open)) * arch
        soft = max(0.8, 0.9 / self.scale)
        inside = np.clip((y - upper) / soft + 0.5, 0, 1) * np.clip((lower - y) / soft + 0.5, 0, 1)
        inside = inside * (np.abs(t) < 1) * np.clip((lower - upper) / soft, 0, 1)
        lash = np.exp(-0.5 * ((y - upper + 0.4) / 0.8) ** 2) * (np.abs(t) < 1.04)
        crease = np.exp(-0.5 * ((y - upper + 3.2) / 1.0) ** 2) * arch
        rim = np.exp(-0.5 * ((y - lower - 0.3) / 0.7) ** 2) * arch
        dark = who.skin * 0.35 * self.light
        _lay(layer, dark, np.clip(0.45 * crease * (0.3 + 0.7 * openness), 0, 1))
        _lay(layer, dark, np.clip(0.4 * rim, 0, 1))
        _lay(layer, self._ball(x, y, key, upper), inside)
        _lay(layer, np.array([24.0, 16.0, 14.0]), np.clip(0.92 * lash, 0, 1))

    def _ball(
        self, x: np.ndarray, y: np.ndarray, key: tuple[int, int, int], upper: np.ndarray
    ) -> np.ndarray:
        who = self.who
        white = np.array([226.0, 218.0, 212.0], np.float32)
        ball = white * (1 - 0.35 * np.clip(np.hypot(x / 17, y / 14), 0, 1) ** 2)[..., None]
        ix, iy = x - key[1] * _GAZE_STEP_MM, y + 1.2 - key[2] * _GAZE_STEP_MM
        r = np.hypot(ix, iy)
        edge = max(0.7, 0.9 / self.scale)
        iris = who.iris_rgb * (0.75 + 0.4 * np.clip(r / 6, 0, 1))[..., None]
        mix(ball, iris * 0.9, np.clip((6.1 - r) / edge, 0, 1))
        mix(ball, who.iris_rgb * 0.3, np.exp(-0.5 * ((r - 5.9) / 0.6) ** 2) * 0.8)
        mix(ball, np.array([10.0, 8.0, 8.0]), np.clip((2.5 - r) / edge, 0, 1))
        # The lid's shadow on the ball, then the lamp's glint over all.
        ball *= (0.55 + 0.45 * smoothstep((y - upper) / 4.5))[..., None]
        ball *= 0.35 + 0.65 * np.clip(self.light, 0.4, 1.1)
        gx, gy = 2.2 * who.light[0], -1.2 + 2.4 * who.light[1]
        mix(ball, np.array([250.0] * 3), np.clip((1.5 - np.hypot(ix - gx, iy - gy)) / 0.9, 0, 0.9))
        return ball

    def _glasses(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Lenses with a faint reflection, then the frame, each as colour and cover."""
        who, power = self.who, self.who.glasses_round
        frame, lens = np.zeros((len(self.y), self.x.shape[1])), 0.0
        for side in (-1, 1):
            x, y = (self.x - side * (who.eye_x + 1)) / 24, (self.y - 2) / 17.5
            r = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
            frame = np.maximum(frame, np.exp(-(np.abs((r - 1) * 20 / who.glasses) ** 3)))
            lens = np.maximum(lens, np.clip((1 - r) * 10, 0, 1))
            arm = np.exp(-(((self.y + 4) / who.glasses) ** 4)) * (side * self.x > who.eye_x + 24)
            frame = np.maximum(frame, arm * (np.abs(self.x) < who.half_width))
        bridge = np.exp(-(((self.y + 3 + 0.02 * self.x**2) / (0.7 * who.glasses)) ** 4))
        frame = np.maximum(frame, bridge * (np.abs(self.x) < who.eye_x - 22))
        glare = np.clip(1 - np.abs(self.x % 60 - 20 + 0.7 * self.y) / 7, 0, 1)
        return [
            (np.array([235.0, 240.0, 245.0]), lens * (0.03 + 0.10 * glare)),
            (who.glasses_rgb, frame * 0.95),
        ]


def _lay(layer: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Lays a colour over a layer of colour times alpha and alpha, in place."""
    layer *= 1 - cover[..., None]
    layer[..., :3] += colour * cover[..., None]
    layer[..., 3] += cover
