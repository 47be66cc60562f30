"""Paint the mouth: the four edges of the lips for a pose, then lips, teeth and tongue."""

from typing import NamedTuple

import cv2
import numpy as np

from avsync.synthetic.canvas import Canvas, blend, smoothstep
from avsync.synthetic.identity import FaceIdentity

# Reach of lips, folds and their shadows around the mouth at rest, in mm: below the lower lip, and
# left, top, right, bottom of the painted window.
_CLEAR_MM = 11.0
_REACH = (-46.0, -26.0, 46.0, 58.0)


class MouthPose(NamedTuple):
    """The mouth at one instant; units as in `articulation.MouthTrajectory`."""

    jaw_mm: float
    aperture_mm: float
    spread_mm: float
    rounding: float
    tuck: float
    tongue: float
    press: float


class LipEdges(NamedTuple):
    """The edges of the lips `(w,)` in mm below the eyes, one value per column of the mouth.

    `u` `(w,)` is the columns' position, -1 and 1 at the corners. `half` is half the distance of the
    corners in mm, `corner_y` their height.
    """

    u: np.ndarray
    upper_outer: np.ndarray
    upper_inner: np.ndarray
    lower_inner: np.ndarray
    lower_outer: np.ndarray
    half: float
    corner_y: float


class MouthPainter:
    """Paints a person's mouth in a window of the canvas.

    Args:
        canvas: the face's canvas.
        face: the person's appearance.
        shade: the light on the canvas `(h, w)`.
    """

    def __init__(self, canvas: Canvas, face: FaceIdentity, shade: np.ndarray) -> None:
        self.face = face
        left, top, right, bottom = _REACH
        self.window = canvas.window(left, face.mouth_y + top, right, face.mouth_y + bottom)
        rows, columns = self.window
        self.x, self.all_y = canvas.x[0, columns], canvas.y[rows]
        self.scale = canvas.scale
        self.all_light = shade[self.window][..., None] ** np.array([0.92, 1.0, 1.05], np.float32)
        rng = np.random.default_rng(face.texture_seed + 1)
        # Fine vertical creases of the lips; they widen with them, so they are a function of u.
        creases = cv2.GaussianBlur(rng.standard_normal((1, 64)).astype(np.float32), (5, 1), 0.7)
        self.creases = (creases[0] / creases.std()).astype(np.float32)
        pale = face.skin * np.array([0.95, 0.74, 0.72])
        red = np.array([0.5, 0.5, 0.5]) * pale + np.array([95.0, 22.0, 28.0])
        self.glint_u = 0.3 * float(face.light[0])
        self.lip_rgb = (pale + (red - pale) * face.lip_red).astype(np.float32)

    def paint(self, rgb: np.ndarray, pose: MouthPose) -> None:
        """Paint into `rgb` (h, w, 3) float32 0..255, the skin of the window."""
        edges = lip_edges(self.x, pose, self.face)
        # Rows far below the lower lip are skipped: a nearly closed mouth costs less.
        rows = np.searchsorted(self.all_y[:, 0], edges.lower_outer.max() + _CLEAR_MM)
        rgb, self.y, self.light = rgb[:rows], self.all_y[:rows], self.all_light[:rows]
        self._paint_shadows(rgb, edges, pose)
        lips, inner = self._cover(edges)
        self._paint_inside(rgb, edges, pose, inner)
        self._paint_lips(rgb, edges, pose, lips)

    def _between(self, top: np.ndarray, bottom: np.ndarray, soft_mm: float) -> np.ndarray:
        """Return the cover `(h, w)` between two edges, soft over `soft_mm` but at least a pixel."""
        soft = max(soft_mm, 0.9 / self.scale)
        above = np.clip((self.y - top) / soft + 0.5, 0, 1)
        return above * np.clip((bottom - self.y) / soft + 0.5, 0, 1)

    def _cover(self, edges: LipEdges) -> tuple[np.ndarray, np.ndarray]:
        ends = np.clip((1 - np.abs(edges.u)) * edges.half * self.scale * 0.7, 0, 1)
        lips = self._between(edges.upper_outer, edges.lower_outer, 1.3) * ends
        gap = edges.lower_inner - edges.upper_inner
        inner = self._between(edges.upper_inner, edges.lower_inner, 0.7)
        return lips, inner * np.clip(gap * self.scale * 1.2, 0, 1)

    def _paint_shadows(self, rgb: np.ndarray, edges: LipEdges, pose: MouthPose) -> None:
        """Paint shadows below the lower lip and in the corners, and folds of a strained mouth."""
        arch = np.clip(1 - edges.u**2, 0, 1)
        under = np.exp(-0.5 * ((self.y - edges.lower_outer - 2.5) / 2.6) ** 2) * arch
        dark = 0.32 * under
        strain = 0.05 * max(pose.spread_mm, 0) + 0.012 * pose.aperture_mm
        for side in (-1, 1):
            from_corner = side * self.x - edges.half
            dark = dark + 0.35 * np.exp(
                -0.5 * ((from_corner - 1) / 2.2) ** 2 - 0.5 * ((self.y - edges.corner_y) / 2.5) ** 2
            )
            line = from_corner - 8 - 0.25 * (self.y - edges.corner_y)
            fade = np.exp(-0.5 * ((self.y - edges.corner_y + 4) / 11) ** 2)
            dark = dark + min(strain, 0.4) * np.exp(-0.5 * (line / 2.2) ** 2) * fade
        rgb *= (1 - np.clip(dark, 0, 0.7))[..., None]

    def _paint_inside(
        self, rgb: np.ndarray, edges: LipEdges, pose: MouthPose, inner: np.ndarray
    ) -> None:
        face, y, u = self.face, self.y, edges.u
        depth = np.clip((y - edges.upper_inner) / 10, 0, 1)
        cavity = np.array([70.0, 26.0, 24.0], np.float32) * (0.35 + 0.5 * depth)[..., None]
        lower_teeth = face.mouth_y + 0.85 * pose.jaw_mm + 1.6 + 1.5 * u**2
        # The tongue is behind the lower teeth; raised, its tip reaches the upper ones.
        tip = lower_teeth - 1 - pose.tongue * (0.85 * pose.jaw_mm + 1.5) + 4.5 * (1.5 * u) ** 2
        tongue = np.clip((y - tip) / 1.5 + 0.5, 0, 1) * (0.55 + 0.45 * pose.tongue)
        pink = np.array([178.0, 92.0, 90.0], np.float32)
        round_light = 0.65 + 0.35 * np.clip(1 - (y - tip) / 14, 0, 1)
        groove = 1 - 0.15 * np.exp(-0.5 * (u / 0.08) ** 2)
        blend(cavity, pink * (round_light * groove)[..., None], tongue)
        white = np.array([242.0, 232.0, 212.0], np.float32) * face.teeth_white
        # Upper teeth are fixed to the skull and lower ones to the jaw, whatever the lips do.
        gaps = 1 - 0.22 * np.exp(-0.5 * ((((self.x + 4) % 8) - 4) / 0.55) ** 2)
        lit = gaps * (1 - 0.75 * np.clip(np.abs(self.x) / 27, 0, 1) ** 2)
        upper = face.mouth_y + face.teeth_mm - 3.0 * (self.x / 25) ** 2 + 0.5 * np.cos(self.x * 0.8)
        shadow = 0.55 + 0.45 * np.clip((y - edges.upper_inner) / 2.5, 0, 1)
        blend(cavity, white * (lit * shadow)[..., None], np.clip((upper - y) / 0.8 + 0.5, 0, 1))
        below = np.clip((y - lower_teeth) / 0.8 + 0.5, 0, 1)
        blend(cavity, white * (0.72 * lit * np.ones_like(y))[..., None], below)
        blend(rgb, cavity * (0.45 + 0.55 * self.light), inner)

    def _paint_lips(
        self, rgb: np.ndarray, edges: LipEdges, pose: MouthPose, lips: np.ndarray
    ) -> None:
        y, u, face = self.y, edges.u, self.face
        upper = np.clip((edges.upper_inner - y) / 0.7 + 0.5, 0, 1)
        lower = np.clip((y - edges.lower_inner) / 0.7 + 0.5, 0, 1)
        # v runs over each lip from its skin edge (0) to its inner edge (1).
        v_up = (y - edges.upper_outer) / np.maximum(edges.upper_inner - edges.upper_outer, 0.5)
        v_low = (edges.lower_outer - y) / np.maximum(edges.lower_outer - edges.lower_inner, 0.5)
        crease = np.interp(u, np.linspace(-1, 1, len(self.creases)), self.creases)
        crease = crease.astype(np.float32)
        tall = 0.86 + 0.12 * np.clip(v_up, 0, 1) - 0.30 * smoothstep(v_up * 2 - 1)
        full = 0.86 + 0.26 * np.sin(np.pi * np.clip(v_low, 0, 1)) - 0.22 * smoothstep(v_low * 3 - 2)
        tone = np.where(y < (edges.upper_inner + edges.lower_inner) / 2, tall, full)
        tone = tone * (1 + 0.05 * crease) * (1 - 0.18 * np.clip(np.abs(u), 0, 1) ** 3)
        colour = self.lip_rgb * (tone[..., None] * self.light)
        wet = np.exp(-0.5 * ((v_low - 0.55) / 0.16) ** 2 - 0.5 * ((u - self.glint_u) / 0.33) ** 2)
        colour += (110 * face.lip_gloss * wet * (0.85 + 0.1 * crease))[..., None]
        blend(rgb, colour, lips * np.maximum(upper, lower) * (0.45 + 0.55 * face.lip_red**0.3))
        line = np.exp(-0.5 * ((y - edges.upper_inner) / 0.8) ** 2)
        line = np.maximum(line, 0.6 * np.exp(-0.5 * ((y - edges.lower_inner) / 0.7) ** 2))
        blend(rgb, self.lip_rgb * 0.22, np.clip((0.85 - 0.25 * pose.press) * line * lips, 0, 1))


def lip_edges(x: np.ndarray, pose: MouthPose, face: FaceIdentity) -> LipEdges:
    """Compute the edges of the lips at columns `x` (w,) in mm."""
    opening = max(pose.aperture_mm, 0.0)
    half = face.mouth_half + pose.spread_mm - 0.10 * max(opening - 8, 0)
    half = max(half, 11.0)
    u = np.clip(x / half, -1.25, 1.25)
    arch = np.clip(1 - u**2, 0, 1)
    corner_y = face.mouth_y + face.corner_dy + 0.22 * opening
    middle = face.mouth_y + (corner_y - face.mouth_y) * (1 - arch)
    middle = middle + 0.9 * face.cupid * (np.exp(-0.5 * (u / 0.16) ** 2) - 0.35 * arch)
    # Lips meet before the corner, the more so the rounder the mouth.
    meet = 0.94 - 0.16 * pose.rounding
    gap_shape = np.clip(1 - (u / meet) ** 2, 0, 1) ** (0.62 - 0.1 * pose.rounding)
    up = (0.24 * opening + 1.6 * pose.tuck) * gap_shape
    down = (0.76 * opening - 0.6 * pose.tuck) * gap_shape
    thin = (1 - 0.5 * pose.press) * (1 - 0.010 * opening) * (1 - 0.02 * pose.spread_mm)
    dip = 0.22 * face.cupid * np.exp(-0.5 * (u / 0.11) ** 2)
    peaks = 0.10 * face.cupid * np.exp(-0.5 * ((np.abs(u) - 0.24) / 0.12) ** 2)
    tall = face.upper_lip * thin * (1 + 0.3 * pose.rounding) * (arch**0.85) * (1 - dip + peaks)
    full = face.lower_lip * thin * (1 + 0.2 * pose.rounding) * arch**0.75 * (1 - 0.45 * pose.tuck)
    upper_inner, lower_inner = middle - up, middle + np.maximum(down, -up)
    return LipEdges(
        u, upper_inner - tall, upper_inner, lower_inner, lower_inner + full, half, corner_y
    )
