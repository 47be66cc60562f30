"""One person's head, frame by frame: skin that follows the jaw, a new mouth, new eyes, turned by
parallax."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from avsync.synthetic.animation import HeadPose
from avsync.synthetic.canvas import Canvas, smoothstep
from avsync.synthetic.eyes import EyePainter
from avsync.synthetic.head import paint_head
from avsync.synthetic.identity import Identity
from avsync.synthetic.lips import MouthPainter, Pose, lip_contours


class Person:
    """Draws a head for any mouth and pose.

    Args:
        who: the face.
        scale: pixels per millimetre of the sheet it is drawn on.
    """

    def __init__(self, who: Identity, scale: float) -> None:
        self.who = who
        self.canvas = canvas = Canvas(scale)
        head = paint_head(canvas, who)
        self.mouth = MouthPainter(canvas, who, head.shade)
        self.eyes = EyePainter(canvas, who, head.shade)
        alpha = head.alpha[..., None]
        self.rest = np.concatenate([head.rgb * alpha, 255 * alpha], -1).round().astype(np.uint8)
        # A parabola rather than a ball: its slope stays finite at the face's edge, where a ball
        # would fold over.
        across = np.clip(canvas.x / who.half_width, -1, 1)
        upright = np.clip((canvas.y - 5) / 125, -1, 1)
        nose = head.depth_mm - cv2.GaussianBlur(head.depth_mm, (0, 0), 10 * scale)
        self.depth = (75 * (1 - across**2) * (1 - upright**4) + 0.7 * nose).astype(np.float32)
        grid_x, grid_y = np.meshgrid(np.arange(canvas.width), np.arange(canvas.height))
        self.grid_x, self.grid_y = grid_x.astype(np.float32), grid_y.astype(np.float32)
        # No face is the same on both sides: a slow random field bends it by a millimetre or two.
        rng = np.random.default_rng(who.texture_seed + 2)
        self.bend_x, self.bend_y = (0.7 * scale * canvas.noise(rng, 45) for _ in range(2))
        self.grid_x += self.bend_x
        self.grid_y += self.bend_y
        self.brows = (
            np.exp(-0.5 * ((canvas.y - who.brow_y - 4) / 9) ** 2) * np.exp(-((canvas.x / 62) ** 4))
        ).astype(np.float32)
        self._prepare_jaw()

    def draw(self, mouth: Pose, head: HeadPose) -> np.ndarray:
        """The head as `(h, w, 4)` uint8, colour times alpha and alpha, before it is placed in the
        picture."""
        sheet = self.rest.copy()
        sheet[self.low] = self._move_jaw(mouth)
        self._repaint(sheet, self.mouth.window, lambda rgb: self.mouth.paint(rgb, mouth))
        gaze = (head.gaze_x, head.gaze_y)
        self._repaint(
            sheet, self.eyes.window, lambda rgb: self.eyes.paint(rgb, head.eyes_open, gaze)
        )
        s = self.canvas.scale
        map_x = self.grid_x - (s * math.sin(head.yaw)) * self.depth
        map_y = self.grid_y - (s * math.sin(head.pitch)) * self.depth
        map_y += (s * head.brow_mm) * self.brows
        return cv2.remap(sheet, map_x, map_y, cv2.INTER_LINEAR)

    def points(self, mouth: Pose, head: HeadPose) -> np.ndarray:
        """Eyes, nose and mouth corners, left before right, `(5, 2)` in pixels of the sheet."""
        who = self.who
        edges = lip_contours(np.zeros(1), mouth, who)
        at = np.array(
            [
                (-who.eye_x, 0.0),
                (who.eye_x, 0.0),
                (0.0, who.nose_long - 4),
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
        sheet: np.ndarray,
        window: tuple[slice, slice],
        paint: Callable[[np.ndarray], None],
    ) -> None:
        rgb = sheet[window][..., :3].astype(np.float32)
        paint(rgb)
        sheet[window][..., :3] = np.clip(rgb + 0.5, 0, 255)

    def _prepare_jaw(self) -> None:
        canvas, who = self.canvas, self.who
        self.low = (slice(canvas.window(-1, who.mouth_y - 22, 1, 0)[0].start, None), slice(None))
        y, x = canvas.y[self.low[0]], canvas.x
        # Rigid from the lower lip down, fading over cheek and jaw angle; never steeper than the
        # skin can stretch.
        drop = smoothstep((y - who.mouth_y + 14) / 48) * np.exp(-((x / 78) ** 4))
        self.drop = drop.astype(np.float32)
        side = np.abs(x) - who.mouth_half
        near = np.exp(-0.5 * (side / 15) ** 2) * np.exp(-0.5 * ((y - who.mouth_y) / 17) ** 2)
        self.pull = (np.sign(x) * near * np.clip(np.abs(x) / 10, 0, 1)).astype(np.float32)
        hollow = np.exp(-0.5 * ((np.abs(x) - 52) / 14) ** 2)
        hollow = np.sign(x) * hollow * np.exp(-0.5 * ((y - who.mouth_y) / 24) ** 2)
        self.hollow = hollow.astype(np.float32)
        low_x, low_y = np.meshgrid(np.arange(x.shape[1]), np.arange(len(y)))
        self.low_x, self.low_y = low_x.astype(np.float32), low_y.astype(np.float32)

    def _move_jaw(self, mouth: Pose) -> np.ndarray:
        s = self.canvas.scale
        map_x = self.low_x - (s * 0.8 * mouth.spread_mm) * self.pull
        map_x += (s * 0.12 * mouth.jaw_mm) * self.hollow
        map_y = self.low_y - (s * mouth.jaw_mm) * self.drop
        return cv2.remap(
            self.rest[self.low], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
