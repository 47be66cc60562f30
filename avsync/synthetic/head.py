"""The head at rest: skin over a relief that is lit like a solid body, then nose, brows, hair, beard
and lines."""

from typing import NamedTuple

import cv2
import numpy as np

from avsync.synthetic.canvas import Canvas, bump, mix, smoothstep
from avsync.synthetic.identity import Identity


class Head(NamedTuple):
    """A painted head on its canvas.

    `rgb` (h, w, 3) float32 0..255 with eyes and mouth blank, `alpha` (h, w) in [0, 1], `shade` (h,
    w) the light that falls on each place, `depth_mm` (h, w) how far it stands out, for parallax.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    shade: np.ndarray
    depth_mm: np.ndarray


def paint_head(canvas: Canvas, who: Identity) -> Head:
    """Paints everything that moves with the skull or the skin."""
    rng = np.random.default_rng(who.texture_seed)
    x, y = canvas.x, canvas.y
    half = outline(y, who)
    # Cut a little inside the relief, whose rim is too steep to be lit well.
    inside = smoothstep((outline(y + 1.5 * np.sign(y), who) - 1 - np.abs(x)) * 0.5) * (half > 1)
    depth, relief = _relief(x, y, half, who, rng)
    shade, glint = _light(relief, canvas.scale, who)
    rgb = _skin(canvas, who, rng)
    rgb *= shade[..., None] ** np.array([0.92, 1.0, 1.05], np.float32)
    rgb += (90 * who.shine) * glint[..., None]
    _paint_nose(canvas, who, rgb)
    _paint_folds(canvas, who, rgb)
    alpha = np.maximum(inside, _paint_ears(canvas, who, rgb, inside))
    _paint_whiskers(canvas, who, rgb, rng)
    _paint_brows(canvas, who, rgb, rng)
    alpha = _paint_hair(canvas, who, rgb, alpha, shade, rng)
    soft = cv2.GaussianBlur(shade, (0, 0), 6 * canvas.scale)
    return Head(np.clip(rgb, 0, 255), alpha.astype(np.float32), soft, depth)


def outline(y: np.ndarray, who: Identity) -> np.ndarray:
    """Half the width of the face at each height, in mm; 0 above the skull and below the chin."""
    below = np.clip(y / who.chin_y, 0, 1)
    above = np.clip(-y / 112.0, 0, 1)
    return who.half_width * np.where(
        y > 0, (1 - below**who.jaw_power) ** 0.5, (1 - above**2.9) ** 0.5
    )


def _relief(
    x: np.ndarray, y: np.ndarray, half: np.ndarray, who: Identity, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Depth for parallax, and the finer relief that is lit, both `(h, w)` in mm."""
    across = np.clip(x / np.maximum(half, 1), -1, 1)
    upright = np.clip((y - 5) / 125, -1, 1)
    depth = 80 * np.sqrt(1 - 0.98 * across**2) * np.sqrt(1 - 0.9 * upright**4)
    depth = depth * smoothstep(half / 14)
    length, wide = who.nose_long, who.nose_wide
    along = np.clip((y + 6) / length, 0, 1)
    ridge = along**1.3 * smoothstep((length + 6 - y) / 9)
    nose = who.nose_high * 19 * ridge * np.exp(-0.5 * (x / (wide * (4.5 + 4 * along))) ** 2)
    nose = nose + 5 * bump(x, y, (0, length - 4), (8 * wide, 7))
    depth = depth + nose
    relief = depth + 6 * bump(x, y, (0, who.mouth_y), (24, 12))
    relief = relief + 7 * bump(x, y, (0, who.chin_y - 13), (15, 9))
    relief -= 2.5 * bump(x, y, (0, who.mouth_y + 17), (15, 4.5))
    relief -= 1.2 * bump(x, y, (0, who.mouth_y - 14), (2.6, 5))
    for side in (-1, 1):
        eye, wing = side * who.eye_x, side * 13.5 * wide
        relief += 5 * bump(x, y, (wing, length - 3), (5, 5))
        relief -= 8 * bump(x, y, (side * (who.eye_x - 3), -2), (15, 9))
        relief += 5 * bump(x, y, (eye, 1), (11, 7))
        relief += 4 * bump(x, y, (side * 26, who.brow_y), (17, 5))
        relief += 5 * bump(x, y, (side * 44, 28), (14, 13))
        relief -= 2.5 * bump(x, y, (side * 46, 62), (10, 16))
        relief -= 1.5 * who.folds * bump(x, y, (side * (who.eye_x - 4), 16), (11, 2.5))
    for line in range(3):
        level = who.brow_y - 14 - 9 * line + rng.uniform(-2, 2)
        bent = level + 0.002 * x**2 * rng.uniform(-0.6, 1)
        relief -= 0.9 * who.wrinkles * np.exp(-0.5 * ((y - bent) / 1.3) ** 2) * (np.abs(x) < 42)
    return depth.astype(np.float32), relief.astype(np.float32)


def _light(relief: np.ndarray, scale: float, who: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Light on matt skin (about 0.4 to 1.2) and its shine, both `(h, w)`."""
    relief = cv2.GaussianBlur(relief, (0, 0), 1.2 * scale)
    slope_y, slope_x = np.gradient(relief * scale)
    normal = np.stack([-slope_x, -slope_y, np.ones_like(relief)])
    normal /= np.linalg.norm(normal, axis=0)
    toward = np.tensordot(who.light, normal, 1)
    # Light wraps a little round the edge: skin and rooms scatter it.
    matt = who.ambient + (1.12 - who.ambient) * np.clip((toward + 0.25) / 1.25, 0, 1)
    matt *= 0.72 + 0.28 * np.clip(normal[2] * 1.6, 0, 1)
    half_way = who.light + np.array([0, 0, 1])
    shine = np.clip(np.tensordot(half_way / np.linalg.norm(half_way), normal, 1), 0, 1) ** 24
    return matt.astype(np.float32), shine.astype(np.float32)


def _skin(canvas: Canvas, who: Identity, rng: np.random.Generator) -> np.ndarray:
    x, y = canvas.x, canvas.y
    blotch = 0.025 * canvas.noise(rng, 16) + 0.018 * canvas.noise(rng, 6)
    fine = 0.03 * who.pores * canvas.noise(rng, 1.4)
    rgb = who.skin.astype(np.float32) * (1 + blotch + fine)[..., None]
    red = np.array([1.0, 0.80, 0.80], np.float32)
    flush = 0.5 * bump(x, y, (0, who.nose_long - 5), (11, 9))
    rings = np.zeros_like(blotch)
    for side in (-1, 1):
        flush = flush + 0.8 * bump(x, y, (side * 40, 38), (16, 14))
        rings += bump(x, y, (side * (who.eye_x - 3), 9), (13, 5))
        rings += 0.8 * bump(x, y, (side * (who.eye_x - 2), -7), (14, 6))
    mix(rgb, rgb * red, np.clip(who.cheek_red * flush, 0, 1))
    mix(rgb, rgb * np.array([0.78, 0.70, 0.72], np.float32), np.clip(0.5 * rings, 0, 1))
    if who.freckles:
        spots = np.maximum(canvas.noise(rng, 2.2) - 1.2, 0) * bump(x, y, (0, 25), (40, 24))
        mix(rgb, rgb * 0.6, np.clip(who.freckles * spots, 0, 0.8))
    return rgb


def _paint_nose(canvas: Canvas, who: Identity, rgb: np.ndarray) -> None:
    x, y, wide, base = canvas.x, canvas.y, who.nose_wide, who.nose_long + 1
    away = -9 * who.light[0]
    under = bump(x, y, (away, base + 4), (11 * wide, 3.0))
    mix(rgb, rgb * 0.6, np.clip(0.6 * under, 0, 1))
    # The shadow the nose throws to the side that is away from the lamp.
    cast = bump(x, y, (np.sign(away) * 12 * wide, base - 12), (4.5, 13))
    mix(rgb, rgb * 0.6, np.clip(abs(who.light[0]) * 0.7 * cast, 0, 1))
    for side in (-1, 1):
        slant = base - 0.3 + 0.16 * side * (x - side * 7 * wide)
        hole = np.exp(-0.5 * ((x - side * 7 * wide) / (2.5 * wide)) ** 2)
        hole = hole * np.exp(-0.5 * ((y - slant) / 1.3) ** 2)
        mix(rgb, rgb * 0.25, np.clip(1.3 * hole, 0, 0.9))
        edge = bump(x, y, (side * 18 * wide, base - 5), (1.5, 4.5))
        mix(rgb, rgb * 0.62, np.clip(0.7 * edge, 0, 1))


def _paint_folds(canvas: Canvas, who: Identity, rgb: np.ndarray) -> None:
    """Lines from the nose's wings past the mouth's corners."""
    x, y = canvas.x, canvas.y
    top, bottom = who.nose_long - 4, who.mouth_y + 8
    t = np.clip((y - top) / (bottom - top), 0, 1)
    for side in (-1, 1):
        line = side * (18 * who.nose_wide + (who.mouth_half + 9 - 18 * who.nose_wide) * t**0.8)
        dark = np.exp(-0.5 * ((x - line) / 2.2) ** 2) * 4 * t * (1 - t) * ((y > top) & (y < bottom))
        mix(rgb, rgb * 0.72, np.clip(who.folds * dark, 0, 1))


def _paint_ears(canvas: Canvas, who: Identity, rgb: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Paints both ears beside the face; returns their alpha."""
    alpha = np.zeros_like(inside)
    for side in (-1, 1):
        cx, cy = side * (who.half_width + 3), 14
        distance = np.hypot((canvas.x - cx) / 9, (canvas.y - cy) / 26)
        ear = smoothstep((1 - distance) * 6)
        lit = 0.8 + 0.25 * side * who.light[0]
        only = ear * (1 - inside)
        mix(rgb, who.skin * lit * np.array([0.98, 0.86, 0.84]), only)
        mix(rgb, rgb * 0.6, only * np.clip(1 - 1.6 * distance, 0, 1))
        alpha = np.maximum(alpha, ear)
    return alpha


def _paint_whiskers(
    canvas: Canvas, who: Identity, rgb: np.ndarray, rng: np.random.Generator
) -> None:
    x, y = canvas.x, canvas.y
    strands = 0.5 + 0.35 * canvas.noise(rng, 1.5, 2.5) + 0.2 * canvas.noise(rng, 4)
    line = who.mouth_y - 16 - 30 * smoothstep((np.abs(x) - 34) / 26)
    area = smoothstep((y - line) / 9)
    lip = np.hypot(x / (who.mouth_half + 2), (y - who.mouth_y) / 11)
    area = area * smoothstep((lip - 0.85) * 3)
    over_lip = bump(x, y, (0, who.mouth_y - 11), (19, 4.2)) * (y < who.mouth_y + 2)
    beard = who.beard * area + 0.35 * who.stubble * area
    cover = np.maximum(beard, who.moustache * np.clip(1.4 * over_lip, 0, 1))
    dark = who.hair_rgb * 0.75 * (0.75 + 0.5 * np.clip(strands, 0, 1))[..., None]
    mix(rgb, dark.astype(np.float32), np.clip(cover * (0.65 + 0.6 * strands), 0, 1))


def _paint_brows(canvas: Canvas, who: Identity, rgb: np.ndarray, rng: np.random.Generator) -> None:
    x, y = canvas.x, canvas.y
    hairs = np.clip(0.88 + 0.13 * canvas.noise(rng, 1.3), 0.5, 1)
    for side in (-1, 1):
        t = (side * x - (who.eye_x - 20)) / 42
        middle = (
            who.brow_y - 4.5 * np.sin(np.pi * np.clip(t, 0, 1) * 0.85) - who.brow_tilt * (t - 0.5)
        )
        thick = who.brow_thick * (1.05 - 0.65 * np.clip(t, 0, 1))
        ends = smoothstep(t * 7) * smoothstep((1 - t) * 5)
        brow = np.exp(-(np.abs((y - middle) / thick) ** 2.5)) * ends
        mix(rgb, who.brow_rgb, np.clip(0.92 * brow * hairs, 0, 1))


def _paint_hair(
    canvas: Canvas,
    who: Identity,
    rgb: np.ndarray,
    alpha: np.ndarray,
    shade: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Paints the hair; returns the head's alpha with the hair's volume in it."""
    x, y = canvas.x, canvas.y
    rough = 0.6 * canvas.noise(rng, 22) + 0.25 * canvas.noise(rng, 6)
    strands = 0.55 * canvas.noise(rng, 1.4, 7) + 0.45 * canvas.noise(rng, 5, 5)
    if who.hair == 0:
        stubble = smoothstep((who.hairline_y - 12 + 0.006 * x**2 - y + 4 * rough) / 14)
        mix(rgb, rgb * 0.78, 0.5 * stubble * alpha)
        return alpha
    volume = (4.0, 8.0, 11.0)[who.hair - 1]
    skull = (
        np.abs(x / (who.half_width + volume)) ** 2.5 + np.abs((y - 2) / (114 + volume)) ** 2.5
    ) ** 0.4
    mass = smoothstep((1 - skull) * 18 + 0.5 + 0.25 * rough)
    fringe = who.hairline_y + (16 if who.hair == 2 else 0) + 0.0055 * x**2
    fringe = fringe + 5 * np.sin(x / 24 + 6 * rng.random()) + 4 * rough
    on_top = smoothstep((fringe - y) / 6)
    sides_y = (8.0, 22.0, 150.0)[who.hair - 1]
    inner = np.maximum(outline(np.minimum(y, 30), who), 20) - (7, 9, 11)[who.hair - 1] + 2 * rough
    beside = smoothstep((np.abs(x) - inner) / 5) * smoothstep((sides_y - y) / 10)
    if who.hair == 3:
        fall = smoothstep((who.half_width + 13 + 3 * rough - np.abs(x)) / 5) * (y > 0)
        mass = np.maximum(mass, fall)
    cover = mass * np.maximum(on_top, beside * (y > fringe - 8))
    sheen = 0.72 + 0.16 * strands + 0.5 * bump(x, y, (60 * who.light[0], -100), (45, 22))
    lit = who.hair_rgb * (sheen * (0.55 + 0.45 * np.clip(shade, 0.4, 1.2)))[..., None]
    # Beyond the face there is no skin for thin hair to show.
    mix(rgb, lit.astype(np.float32), np.where(alpha > 0.5, cover, np.clip(4 * cover, 0, 1)))
    return np.maximum(alpha, cover)
