"""Paint the head at rest: skin over a lit relief, then nose, folds, ears, beard, brows and hair."""

from typing import NamedTuple

import cv2
import numpy as np

from avsync.synthetic.canvas import Canvas, blend, gaussian, smoothstep
from avsync.synthetic.identity import FaceIdentity


class PaintedHead(NamedTuple):
    """A painted head on its canvas.

    `rgb` (h, w, 3) float32 0..255 has eyes and mouth blank; `alpha` (h, w) is in [0, 1]; `shade`
    (h, w) is the light that falls on each pixel; `depth_mm` (h, w) is its depth, for parallax.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    shade: np.ndarray
    depth_mm: np.ndarray


def paint_head(canvas: Canvas, face: FaceIdentity) -> PaintedHead:
    """Paint all that moves with the skull or the skin."""
    rng = np.random.default_rng(face.texture_seed)
    x, y = canvas.x, canvas.y
    half = outline(y, face)
    # Slightly inside the relief, whose rim is too steep to be lit well.
    inside = smoothstep((outline(y + 1.5 * np.sign(y), face) - 1 - np.abs(x)) * 0.5) * (half > 1)
    depth, relief = _relief(x, y, half, face, rng)
    shade, glint = _light(relief, canvas.scale, face)
    rgb = _skin(canvas, face, rng)
    rgb *= shade[..., None] ** np.array([0.92, 1.0, 1.05], np.float32)
    rgb += (90 * face.shine) * glint[..., None]
    _paint_nose(canvas, face, rgb)
    _paint_folds(canvas, face, rgb)
    alpha = np.maximum(inside, _paint_ears(canvas, face, rgb, inside))
    _paint_beard(canvas, face, rgb, rng)
    _paint_brows(canvas, face, rgb, rng)
    alpha = _paint_hair(canvas, face, rgb, alpha, shade, rng)
    soft = cv2.GaussianBlur(shade, (0, 0), 6 * canvas.scale)
    return PaintedHead(np.clip(rgb, 0, 255), alpha.astype(np.float32), soft, depth)


def outline(y: np.ndarray, face: FaceIdentity) -> np.ndarray:
    """Return half the width of the face at heights `y` in mm, 0 above the skull and below chin."""
    below = np.clip(y / face.chin_y, 0, 1)
    above = np.clip(-y / 112.0, 0, 1)
    return face.half_width * np.where(
        y > 0, (1 - below**face.jaw_power) ** 0.5, (1 - above**2.9) ** 0.5
    )


def _relief(
    x: np.ndarray, y: np.ndarray, half: np.ndarray, face: FaceIdentity, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth for parallax, and the finer relief that is lit, both `(h, w)` in mm."""
    across = np.clip(x / np.maximum(half, 1), -1, 1)
    upright = np.clip((y - 5) / 125, -1, 1)
    depth = 80 * np.sqrt(1 - 0.98 * across**2) * np.sqrt(1 - 0.9 * upright**4)
    depth = depth * smoothstep(half / 14)
    length, wide = face.nose_length, face.nose_width
    along = np.clip((y + 6) / length, 0, 1)
    ridge = along**1.3 * smoothstep((length + 6 - y) / 9)
    nose = face.nose_height * 19 * ridge * np.exp(-0.5 * (x / (wide * (4.5 + 4 * along))) ** 2)
    nose = nose + 5 * gaussian(x, y, (0, length - 4), (8 * wide, 7))
    depth = depth + nose
    relief = depth + 6 * gaussian(x, y, (0, face.mouth_y), (24, 12))
    relief = relief + 7 * gaussian(x, y, (0, face.chin_y - 13), (15, 9))
    relief -= 2.5 * gaussian(x, y, (0, face.mouth_y + 17), (15, 4.5))
    relief -= 1.2 * gaussian(x, y, (0, face.mouth_y - 14), (2.6, 5))
    for side in (-1, 1):
        eye, wing = side * face.eye_x, side * 13.5 * wide
        relief += 5 * gaussian(x, y, (wing, length - 3), (5, 5))
        relief -= 8 * gaussian(x, y, (side * (face.eye_x - 3), -2), (15, 9))
        relief += 5 * gaussian(x, y, (eye, 1), (11, 7))
        relief += 4 * gaussian(x, y, (side * 26, face.brow_y), (17, 5))
        relief += 5 * gaussian(x, y, (side * 44, 28), (14, 13))
        relief -= 2.5 * gaussian(x, y, (side * 46, 62), (10, 16))
        relief -= 1.5 * face.folds * gaussian(x, y, (side * (face.eye_x - 4), 16), (11, 2.5))
    for line in range(3):
        level = face.brow_y - 14 - 9 * line + rng.uniform(-2, 2)
        bent = level + 0.002 * x**2 * rng.uniform(-0.6, 1)
        relief -= 0.9 * face.wrinkles * np.exp(-0.5 * ((y - bent) / 1.3) ** 2) * (np.abs(x) < 42)
    return depth.astype(np.float32), relief.astype(np.float32)


def _light(relief: np.ndarray, scale: float, face: FaceIdentity) -> tuple[np.ndarray, np.ndarray]:
    """Return the diffuse light on the skin (about 0.4 to 1.2) and its gloss, both `(h, w)`."""
    relief = cv2.GaussianBlur(relief, (0, 0), 1.2 * scale)
    slope_y, slope_x = np.gradient(relief * scale)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(relief)])
    normal /= np.linalg.norm(normal, axis=0)
    toward = np.tensordot(face.light, normal, 1)
    # Light wraps around the edge a little: skin and rooms scatter it.
    matt = face.ambient + (1.12 - face.ambient) * np.clip((toward + 0.25) / 1.25, 0, 1)
    matt *= 0.72 + 0.28 * np.clip(normal[2] * 1.6, 0, 1)
    half_way = face.light + np.array([0, 0, 1])
    shine = np.clip(np.tensordot(half_way / np.linalg.norm(half_way), normal, 1), 0, 1) ** 24
    return matt.astype(np.float32), shine.astype(np.float32)


def _skin(canvas: Canvas, face: FaceIdentity, rng: np.random.Generator) -> np.ndarray:
    x, y = canvas.x, canvas.y
    blotch = 0.025 * canvas.noise(rng, 16) + 0.018 * canvas.noise(rng, 6)
    fine = 0.03 * face.pores * canvas.noise(rng, 1.4)
    rgb = face.skin.astype(np.float32) * (1 + blotch + fine)[..., None]
    red = np.array([1.0, 0.80, 0.80], np.float32)
    flush = 0.5 * gaussian(x, y, (0, face.nose_length - 5), (11, 9))
    rings = np.zeros_like(blotch)
    for side in (-1, 1):
        flush = flush + 0.8 * gaussian(x, y, (side * 40, 38), (16, 14))
        rings += gaussian(x, y, (side * (face.eye_x - 3), 9), (13, 5))
        rings += 0.8 * gaussian(x, y, (side * (face.eye_x - 2), -7), (14, 6))
    blend(rgb, rgb * red, np.clip(face.cheek_red * flush, 0, 1))
    blend(rgb, rgb * np.array([0.78, 0.70, 0.72], np.float32), np.clip(0.5 * rings, 0, 1))
    if face.freckles:
        spots = np.maximum(canvas.noise(rng, 2.2) - 1.2, 0) * gaussian(x, y, (0, 25), (40, 24))
        blend(rgb, rgb * 0.6, np.clip(face.freckles * spots, 0, 0.8))
    return rgb


def _paint_nose(canvas: Canvas, face: FaceIdentity, rgb: np.ndarray) -> None:
    x, y, wide, base = canvas.x, canvas.y, face.nose_width, face.nose_length + 1
    away = -9 * face.light[0]
    under = gaussian(x, y, (away, base + 4), (11 * wide, 3.0))
    blend(rgb, rgb * 0.6, np.clip(0.6 * under, 0, 1))
    # The shadow of the nose on the side away from the lamp.
    cast = gaussian(x, y, (np.sign(away) * 12 * wide, base - 12), (4.5, 13))
    blend(rgb, rgb * 0.6, np.clip(abs(face.light[0]) * 0.7 * cast, 0, 1))
    for side in (-1, 1):
        slant = base - 0.3 + 0.16 * side * (x - side * 7 * wide)
        hole = np.exp(-0.5 * ((x - side * 7 * wide) / (2.5 * wide)) ** 2)
        hole = hole * np.exp(-0.5 * ((y - slant) / 1.3) ** 2)
        blend(rgb, rgb * 0.25, np.clip(1.3 * hole, 0, 0.9))
        edge = gaussian(x, y, (side * 18 * wide, base - 5), (1.5, 4.5))
        blend(rgb, rgb * 0.62, np.clip(0.7 * edge, 0, 1))


def _paint_folds(canvas: Canvas, face: FaceIdentity, rgb: np.ndarray) -> None:
    """Paint the nasolabial folds, from the wings of the nose past the mouth's corners."""
    x, y = canvas.x, canvas.y
    top, bottom = face.nose_length - 4, face.mouth_y + 8
    t = np.clip((y - top) / (bottom - top), 0, 1)
    for side in (-1, 1):
        line = side * (18 * face.nose_width + (face.mouth_half + 9 - 18 * face.nose_width) * t**0.8)
        dark = np.exp(-0.5 * ((x - line) / 2.2) ** 2) * 4 * t * (1 - t) * ((y > top) & (y < bottom))
        blend(rgb, rgb * 0.72, np.clip(face.folds * dark, 0, 1))


def _paint_ears(
    canvas: Canvas, face: FaceIdentity, rgb: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Paint both ears beside the face, and return their alpha."""
    alpha = np.zeros_like(inside)
    for side in (-1, 1):
        cx, cy = side * (face.half_width + 3), 14
        distance = np.hypot((canvas.x - cx) / 9, (canvas.y - cy) / 26)
        ear = smoothstep((1 - distance) * 6)
        lit = 0.8 + 0.25 * side * face.light[0]
        only = ear * (1 - inside)
        blend(rgb, face.skin * lit * np.array([0.98, 0.86, 0.84]), only)
        blend(rgb, rgb * 0.6, only * np.clip(1 - 1.6 * distance, 0, 1))
        alpha = np.maximum(alpha, ear)
    return alpha


def _paint_beard(
    canvas: Canvas, face: FaceIdentity, rgb: np.ndarray, rng: np.random.Generator
) -> None:
    x, y = canvas.x, canvas.y
    strands = 0.5 + 0.35 * canvas.noise(rng, 1.5, 2.5) + 0.2 * canvas.noise(rng, 4)
    line = face.mouth_y - 16 - 30 * smoothstep((np.abs(x) - 34) / 26)
    area = smoothstep((y - line) / 9)
    lip = np.hypot(x / (face.mouth_half + 2), (y - face.mouth_y) / 11)
    area = area * smoothstep((lip - 0.85) * 3)
    over_lip = gaussian(x, y, (0, face.mouth_y - 11), (19, 4.2)) * (y < face.mouth_y + 2)
    beard = face.beard * area + 0.35 * face.stubble * area
    cover = np.maximum(beard, face.moustache * np.clip(1.4 * over_lip, 0, 1))
    dark = face.hair_rgb * 0.75 * (0.75 + 0.5 * np.clip(strands, 0, 1))[..., None]
    blend(rgb, dark.astype(np.float32), np.clip(cover * (0.65 + 0.6 * strands), 0, 1))


def _paint_brows(
    canvas: Canvas, face: FaceIdentity, rgb: np.ndarray, rng: np.random.Generator
) -> None:
    x, y = canvas.x, canvas.y
    hairs = np.clip(0.88 + 0.13 * canvas.noise(rng, 1.3), 0.5, 1)
    for side in (-1, 1):
        t = (side * x - (face.eye_x - 20)) / 42
        middle = (
            face.brow_y - 4.5 * np.sin(np.pi * np.clip(t, 0, 1) * 0.85) - face.brow_tilt * (t - 0.5)
        )
        thick = face.brow_thick * (1.05 - 0.65 * np.clip(t, 0, 1))
        ends = smoothstep(t * 7) * smoothstep((1 - t) * 5)
        brow = np.exp(-(np.abs((y - middle) / thick) ** 2.5)) * ends
        blend(rgb, face.brow_rgb, np.clip(0.92 * brow * hairs, 0, 1))


def _paint_hair(
    canvas: Canvas,
    face: FaceIdentity,
    rgb: np.ndarray,
    alpha: np.ndarray,
    shade: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Paint the hair, and return the head's alpha with the hair included."""
    x, y = canvas.x, canvas.y
    rough = 0.6 * canvas.noise(rng, 22) + 0.25 * canvas.noise(rng, 6)
    strands = 0.55 * canvas.noise(rng, 1.4, 7) + 0.45 * canvas.noise(rng, 5, 5)
    if face.hair == 0:
        stubble = smoothstep((face.hairline_y - 12 + 0.006 * x**2 - y + 4 * rough) / 14)
        blend(rgb, rgb * 0.78, 0.5 * stubble * alpha)
        return alpha
    volume = (4.0, 8.0, 11.0)[face.hair - 1]
    skull = (
        np.abs(x / (face.half_width + volume)) ** 2.5 + np.abs((y - 2) / (114 + volume)) ** 2.5
    ) ** 0.4
    mass = smoothstep((1 - skull) * 18 + 0.5 + 0.25 * rough)
    fringe = face.hairline_y + (16 if face.hair == 2 else 0) + 0.0055 * x**2
    fringe = fringe + 5 * np.sin(x / 24 + 6 * rng.random()) + 4 * rough
    on_top = smoothstep((fringe - y) / 6)
    sides_y = (8.0, 22.0, 150.0)[face.hair - 1]
    inner = np.maximum(outline(np.minimum(y, 30), face), 20) - (7, 9, 11)[face.hair - 1] + 2 * rough
    beside = smoothstep((np.abs(x) - inner) / 5) * smoothstep((sides_y - y) / 10)
    if face.hair == 3:
        fall = smoothstep((face.half_width + 13 + 3 * rough - np.abs(x)) / 5) * (y > 0)
        mass = np.maximum(mass, fall)
    cover = mass * np.maximum(on_top, beside * (y > fringe - 8))
    sheen = 0.72 + 0.16 * strands + 0.5 * gaussian(x, y, (60 * face.light[0], -100), (45, 22))
    lit = face.hair_rgb * (sheen * (0.55 + 0.45 * np.clip(shade, 0.4, 1.2)))[..., None]
    # Beyond the face there is no skin for thin hair to show.
    blend(rgb, lit.astype(np.float32), np.where(alpha > 0.5, cover, np.clip(4 * cover, 0, 1)))
    return np.maximum(alpha, cover)
