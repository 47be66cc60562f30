"""Render one person's head frame by frame: skin that follows the jaw, mouth, eyes, parallax."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from avsync.synthetic.animation import HeadPose
from avsync.synthetic.canvas import Canvas, blend, smoothstep
from avsync.synthetic.head import paint_head
from avsync.synthetic.identity import FaceIdentity
from avsync.synthetic.lips import MouthPainter, MouthPose, lip_edges

# Painted eyes are cached in steps of a blink and of the gaze.
_BLINK_STEPS = 6
_GAZE_STEP_MM = 0.7


class PersonRenderer:
    """Draws a person's head for any pose of mouth and head.

    Args:
        face: the person's appearance.
        scale: pixels per millimetre of the canvas it is drawn on.
    """

    def __init__(self, face: FaceIdentity, scale: float) -> None:
        self.face = face
        self.canvas = canvas = Canvas(scale)
        head = paint_head(canvas, face)
        self.mouth = MouthPainter(canvas, face, head.shade)
        self.eyes = EyePainter(canvas, face, head.shade)
        alpha = head.alpha[..., None]
        self.rest = np.concatenate([head.rgb * alpha, 255 * alpha], -1).round().astype(np.uint8)
        # A parabola rather than a sphere: its slope stays finite at the face's edge, where a sphere
        # would fold over.
        across = np.clip(canvas.x / face.half_width, -1, 1)
        upright = np.clip((canvas.y - 5) / 125, -1, 1)
        nose = head.depth_mm - cv2.GaussianBlur(head.depth_mm, (0, 0), 10 * scale)
        self.depth = (75 * (1 - across**2) * (1 - upright**4) + 0.7 * nose).astype(np.float32)
        grid_x, grid_y = np.meshgrid(np.arange(canvas.width), np.arange(canvas.height))
        self.grid_x, self.grid_y = grid_x.astype(np.float32), grid_y.astype(np.float32)
        # No face is symmetric: a slow random field bends it by a millimetre or two.
        rng = np.random.default_rng(face.texture_seed + 2)
        self.bend_x, self.bend_y = (0.7 * scale * canvas.noise(rng, 45) for _ in range(2))
        self.grid_x += self.bend_x
        self.grid_y += self.bend_y
        brows = np.exp(-0.5 * ((canvas.y - face.brow_y - 4) / 9) ** 2)
        self.brows = (brows * np.exp(-((canvas.x / 62) ** 4))).astype(np.float32)
        self._prepare_jaw()

    def draw(self, mouth: MouthPose, head: HeadPose) -> np.ndarray:
        """Draw the head as a layer of its canvas.

        Returns:
            Layer `(h, w, 4)` uint8, premultiplied colour and alpha, not yet shifted or rolled.
        """
        layer = self.rest.copy()
        layer[self.low] = self._move_jaw(mouth)
        self._repaint(layer, self.mouth.window, lambda rgb: self.mouth.paint(rgb, mouth))
        gaze = (head.gaze_x, head.gaze_y)
        self._repaint(
            layer, self.eyes.window, lambda rgb: self.eyes.paint(rgb, head.eyes_open, gaze)
        )
        s = self.canvas.scale
        map_x = self.grid_x - (s * math.sin(head.yaw)) * self.depth
        map_y = self.grid_y - (s * math.sin(head.pitch)) * self.depth
        map_y += (s * head.brow_mm) * self.brows
        return cv2.remap(layer, map_x, map_y, cv2.INTER_LINEAR)

    def points(self, mouth: MouthPose, head: HeadPose) -> np.ndarray:
        """Return eyes, nose and mouth corners, left before right, `(5, 2)` in canvas pixels."""
        face = self.face
        edges = lip_edges(np.zeros(1), mouth, face)
        at = np.array(
            [
                (-face.eye_x, 0.0),
                (face.eye_x, 0.0),
                (0.0, face.nose_length - 4),
                (-edges.half, edges.corner_y),
                (edges.half, edges.corner_y),
            ]
        )
        pixels = self.canvas.pixels(at)
        nearest = np.round(pixels).astype(int)
        at_points = (nearest[:, 1], nearest[:, 0])
        depth = self.depth[at_points]
        bend = np.column_stack([self.bend_x[at_points], self.bend_y[at_points]])
        turn = np.array([np.sin(head.yaw), np.sin(head.pitch)])
        return pixels - bend + self.canvas.scale * depth[:, None] * turn

    def _repaint(
        self,
        layer: np.ndarray,
        window: tuple[slice, slice],
        paint: Callable[[np.ndarray], None],
    ) -> None:
        rgb = layer[window][..., :3].astype(np.float32)
        paint(rgb)
        layer[window][..., :3] = np.clip(rgb + 0.5, 0, 255)

    def _prepare_jaw(self) -> None:
        canvas, face = self.canvas, self.face
        self.low = (slice(canvas.window(-1, face.mouth_y - 22, 1, 0)[0].start, None), slice(None))
        y, x = canvas.y[self.low[0]], canvas.x
        # Rigid from the lower lip down, fading over cheek and jaw angle; never steeper than skin
        # can deform.
        drop = smoothstep((y - face.mouth_y + 14) / 48) * np.exp(-((x / 78) ** 4))
        self.drop = drop.astype(np.float32)
        side = np.abs(x) - face.mouth_half
        near = np.exp(-0.5 * (side / 15) ** 2) * np.exp(-0.5 * ((y - face.mouth_y) / 17) ** 2)
        self.pull = (np.sign(x) * near * np.clip(np.abs(x) / 10, 0, 1)).astype(np.float32)
        hollow = np.exp(-0.5 * ((np.abs(x) - 52) / 14) ** 2)
        hollow = np.sign(x) * hollow * np.exp(-0.5 * ((y - face.mouth_y) / 24) ** 2)
        self.hollow = hollow.astype(np.float32)
        low_x, low_y = np.meshgrid(np.arange(x.shape[1]), np.arange(len(y)))
        self.low_x, self.low_y = low_x.astype(np.float32), low_y.astype(np.float32)

    def _move_jaw(self, mouth: MouthPose) -> np.ndarray:
        s = self.canvas.scale
        map_x = self.low_x - (s * 0.8 * mouth.spread_mm) * self.pull
        map_x += (s * 0.12 * mouth.jaw_mm) * self.hollow
        map_y = self.low_y - (s * mouth.jaw_mm) * self.drop
        return cv2.remap(
            self.rest[self.low], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


class EyePainter:
    """Paints a person's eyes and glasses in a window of the canvas, cached by state.

    Args:
        canvas: the face's canvas.
        face: the person's appearance.
        shade: the light on the canvas `(h, w)`.
    """

    def __init__(self, canvas: Canvas, face: FaceIdentity, shade: np.ndarray) -> None:
        self.face = face
        self.window = canvas.window(-62, -24, 62, 24)
        rows, columns = self.window
        self.x, self.y = canvas.x[:, columns], canvas.y[rows]
        self.scale = canvas.scale
        self.light = shade[self.window][..., None]
        self.glasses = self._paint_glasses() if face.glasses else None
        self._cache: dict[tuple[int, int, int], tuple[np.ndarray, np.ndarray]] = {}

    def paint(self, rgb: np.ndarray, openness: float, gaze_mm: tuple[float, float]) -> None:
        """Paint into `rgb` (h, w, 3) float32, the skin of the window; `openness` in [0, 1]."""
        state = (
            round(openness * _BLINK_STEPS),
            round(gaze_mm[0] / _GAZE_STEP_MM),
            round(gaze_mm[1] / _GAZE_STEP_MM),
        )
        if state not in self._cache:
            self._cache[state] = self._paint_layer(state)
        colour, alpha = self._cache[state]
        rgb *= 1 - alpha
        rgb += colour

    def _paint_layer(self, state: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return premultiplied colour, and alpha, of lids, eyeballs and glasses."""
        shape = (len(self.y), self.x.shape[1])
        layer = np.zeros((*shape, 4), np.float32)
        for side in (-1, 1):
            self._paint_eye(layer, side, state)
        if self.glasses is not None:
            for colour, cover in self.glasses:
                _blend_premultiplied(layer, colour, cover)
        return layer[..., :3], layer[..., 3:]

    def _paint_eye(self, layer: np.ndarray, side: int, state: tuple[int, int, int]) -> None:
        face, openness = self.face, state[0] / _BLINK_STEPS
        x, y = self.x - side * face.eye_x, self.y
        # t runs from the inner corner (-1) to the outer one (1), which is a little higher.
        t = side * x / face.eye_half
        arch = np.clip(1 - t**2, 0, 1) ** 0.75
        tilt = -1.2 * t
        lower = tilt + 3.0 * arch
        upper = tilt + lower * 0 + (3.0 - openness * (3.0 + 5.2 * face.eye_open)) * arch
        soft = max(0.8, 0.9 / self.scale)
        inside = np.clip((y - upper) / soft + 0.5, 0, 1) * np.clip((lower - y) / soft + 0.5, 0, 1)
        inside = inside * (np.abs(t) < 1) * np.clip((lower - upper) / soft, 0, 1)
        lash = np.exp(-0.5 * ((y - upper + 0.4) / 0.8) ** 2) * (np.abs(t) < 1.04)
        crease = np.exp(-0.5 * ((y - upper + 3.2) / 1.0) ** 2) * arch
        rim = np.exp(-0.5 * ((y - lower - 0.3) / 0.7) ** 2) * arch
        dark = face.skin * 0.35 * self.light
        lash_rgb = np.array([24.0, 16.0, 14.0])
        _blend_premultiplied(layer, dark, np.clip(0.45 * crease * (0.3 + 0.7 * openness), 0, 1))
        _blend_premultiplied(layer, dark, np.clip(0.4 * rim, 0, 1))
        _blend_premultiplied(layer, self._paint_eyeball(x, y, state, upper), inside)
        _blend_premultiplied(layer, lash_rgb, np.clip(0.92 * lash, 0, 1))

    def _paint_eyeball(
        self, x: np.ndarray, y: np.ndarray, state: tuple[int, int, int], upper: np.ndarray
    ) -> np.ndarray:
        face = self.face
        white = np.array([226.0, 218.0, 212.0], np.float32)
        ball = white * (1 - 0.35 * np.clip(np.hypot(x / 17, y / 14), 0, 1) ** 2)[..., None]
        ix, iy = x - state[1] * _GAZE_STEP_MM, y + 1.2 - state[2] * _GAZE_STEP_MM
        r = np.hypot(ix, iy)
        edge = max(0.7, 0.9 / self.scale)
        iris = face.iris_rgb * (0.75 + 0.4 * np.clip(r / 6, 0, 1))[..., None]
        blend(ball, iris * 0.9, np.clip((6.1 - r) / edge, 0, 1))
        blend(ball, face.iris_rgb * 0.3, np.exp(-0.5 * ((r - 5.9) / 0.6) ** 2) * 0.8)
        blend(ball, np.array([10.0, 8.0, 8.0]), np.clip((2.5 - r) / edge, 0, 1))
        # The lid's shadow on the eyeball, then the lamp's glint on top.
        ball *= (0.55 + 0.45 * smoothstep((y - upper) / 4.5))[..., None]
        ball *= 0.35 + 0.65 * np.clip(self.light, 0.4, 1.1)
        gx, gy = 2.2 * face.light[0], -1.2 + 2.4 * face.light[1]
        glint = np.clip((1.5 - np.hypot(ix - gx, iy - gy)) / 0.9, 0, 0.9)
        blend(ball, np.array([250.0] * 3), glint)
        return ball

    def _paint_glasses(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return lenses with a faint reflection, then the frame, as colour and cover."""
        face, power = self.face, self.face.glasses_round
        frame, lens = np.zeros((len(self.y), self.x.shape[1])), 0.0
        for side in (-1, 1):
            x, y = (self.x - side * (face.eye_x + 1)) / 24, (self.y - 2) / 17.5
            r = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
            frame = np.maximum(frame, np.exp(-(np.abs((r - 1) * 20 / face.glasses) ** 3)))
            lens = np.maximum(lens, np.clip((1 - r) * 10, 0, 1))
            arm = np.exp(-(((self.y + 4) / face.glasses) ** 4)) * (side * self.x > face.eye_x + 24)
            frame = np.maximum(frame, arm * (np.abs(self.x) < face.half_width))
        bridge = np.exp(-(((self.y + 3 + 0.02 * self.x**2) / (0.7 * face.glasses)) ** 4))
        frame = np.maximum(frame, bridge * (np.abs(self.x) < face.eye_x - 22))
        glare = np.clip(1 - np.abs(self.x % 60 - 20 + 0.7 * self.y) / 7, 0, 1)
        return [
            (np.array([235.0, 240.0, 245.0]), lens * (0.03 + 0.10 * glare)),
            (face.glasses_rgb, frame * 0.95),
        ]


def _blend_premultiplied(layer: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Blend a colour over a layer of premultiplied colour and alpha, in place."""
    layer *= 1 - cover[..., None]
    layer[..., :3] += colour * cover[..., None]
    layer[..., 3] += cover
