"""Draw a face's identity from a seed: shape, colours, hair, glasses and lighting."""

from typing import NamedTuple

import numpy as np

# sRGB of skin in even light, from fair to dark, of hair and of irises.
_SKINS = np.array(
    [
        (243, 210, 186),
        (232, 190, 160),
        (222, 172, 138),
        (205, 152, 118),
        (186, 130, 96),
        (158, 106, 76),
        (126, 82, 58),
        (92, 60, 44),
    ],
    np.float32,
)
_HAIRS = np.array(
    [
        (28, 22, 20),
        (45, 32, 24),
        (72, 48, 32),
        (104, 72, 44),
        (150, 110, 66),
        (196, 160, 104),
        (140, 62, 32),
        (150, 148, 146),
        (205, 203, 200),
    ],
    np.float32,
)
_IRISES = np.array([(60, 38, 22), (84, 56, 30), (96, 104, 60), (84, 118, 142), (96, 110, 118)])


class FaceIdentity(NamedTuple):
    """A face's appearance: lengths in millimetres, colours sRGB 0..255, strengths in [0, 1].

    `hair` is 0 bald, 1 short, 2 over the forehead, 3 long. `glasses` is the frame's thickness in
    mm, 0 for none. `light` (3,) points from the face to the lamp: x right, y down, z to the camera.
    """

    skin: np.ndarray
    half_width: float
    jaw_power: float
    chin_y: float
    eye_x: float
    eye_half: float
    eye_open: float
    brow_y: float
    brow_thick: float
    brow_tilt: float
    nose_width: float
    nose_length: float
    nose_height: float
    mouth_y: float
    mouth_half: float
    upper_lip: float
    lower_lip: float
    lip_red: float
    lip_gloss: float
    cupid: float
    corner_dy: float
    teeth_mm: float
    teeth_white: float
    hair: int
    hair_rgb: np.ndarray
    hairline_y: float
    brow_rgb: np.ndarray
    iris_rgb: np.ndarray
    beard: float
    stubble: float
    moustache: float
    wrinkles: float
    freckles: float
    folds: float
    pores: float
    cheek_red: float
    glasses: float
    glasses_round: float
    glasses_rgb: np.ndarray
    light: np.ndarray
    ambient: float
    shine: float
    texture_seed: int


def draw_face_identity(rng: np.random.Generator) -> FaceIdentity:
    """Draw a face; features are independent except those of age (wrinkles, grey hair) and beard."""
    tone = rng.uniform(0, len(_SKINS) - 1.001)
    low = int(tone)
    skin = _SKINS[low] + (tone - low) * (_SKINS[low + 1] - _SKINS[low])
    age = rng.uniform(0, 1)
    hair_rgb = _HAIRS[_hair_colour(rng, tone, age)] * rng.uniform(0.85, 1.15)
    whiskers = rng.random()
    azimuth, height = rng.uniform(-1.0, 1.0), rng.uniform(0.1, 0.9)
    light = np.array([np.sin(azimuth), -height, 0.4 + np.cos(azimuth)])
    return FaceIdentity(
        skin=skin * rng.uniform(0.95, 1.05, 3),
        half_width=rng.uniform(64, 75),
        jaw_power=rng.uniform(2.1, 3.6),
        chin_y=rng.uniform(104, 117),
        eye_x=rng.uniform(29.5, 34),
        eye_half=rng.uniform(13.5, 16.5),
        eye_open=rng.uniform(0.75, 1.2),
        brow_y=rng.uniform(-25, -18),
        brow_thick=rng.uniform(2.0, 5.0),
        brow_tilt=rng.uniform(-2.5, 3.5),
        nose_width=rng.uniform(0.8, 1.3),
        nose_length=rng.uniform(38, 46),
        nose_height=rng.uniform(0.7, 1.3),
        mouth_y=rng.uniform(61, 71),
        mouth_half=rng.uniform(22.5, 29.5),
        upper_lip=rng.uniform(3.8, 9.0),
        lower_lip=rng.uniform(6.5, 12.0),
        lip_red=rng.uniform(0.15, 1.0) ** 1.4,
        lip_gloss=rng.uniform(0.0, 0.5),
        cupid=rng.uniform(0.2, 1.0),
        corner_dy=rng.uniform(-1.8, 1.8),
        teeth_mm=rng.uniform(-0.5, 2.8),
        teeth_white=rng.uniform(0.68, 1.0),
        hair=int(rng.choice((0, 1, 1, 2, 2, 3, 3))),
        hair_rgb=hair_rgb,
        hairline_y=rng.uniform(-78, -58),
        brow_rgb=np.minimum(hair_rgb * 0.75, 130),
        iris_rgb=_IRISES[int(rng.integers(len(_IRISES)))].astype(np.float32),
        beard=rng.uniform(0.4, 0.95) if whiskers < 0.18 else 0.0,
        stubble=rng.uniform(0.1, 0.5) if 0.18 < whiskers < 0.4 else 0.0,
        moustache=rng.uniform(0.4, 0.9) if whiskers < 0.12 or 0.4 < whiskers < 0.46 else 0.0,
        wrinkles=max(0.0, age - 0.35) * rng.uniform(0.3, 1.2),
        freckles=rng.uniform(0.2, 0.8) if rng.random() < 0.25 else 0.0,
        folds=rng.uniform(0.15, 0.6) + 0.4 * age,
        pores=rng.uniform(0.3, 1.0),
        cheek_red=rng.uniform(0.0, 1.0),
        glasses=rng.uniform(1.2, 3.6) if rng.random() < 0.28 else 0.0,
        glasses_round=rng.uniform(2.0, 5.0),
        glasses_rgb=rng.choice((20.0, 40.0, 70.0, 110.0)) * rng.uniform(0.6, 1.3, 3),
        light=light / np.linalg.norm(light),
        ambient=rng.uniform(0.38, 0.68),
        shine=rng.uniform(0.0, 0.35),
        texture_seed=int(rng.integers(2**31)),
    )


def _hair_colour(rng: np.random.Generator, tone: float, age: float) -> int:
    if age > 0.75 and rng.random() < 0.6:
        return int(rng.integers(7, 9))
    return int(rng.integers(0, 3)) if tone > 3.5 else int(rng.integers(0, 7))
