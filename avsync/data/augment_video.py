"""Augment mouths and landmarks for sync training: how a face looks, but not when its lips move.

A clip is changed in the same way from its first frame to its last, except for slow drifts. All
draws come from the given generator, so that a run can be repeated; it must be on the device of the
tensors.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from avsync.faces.face_frame import MIRRORED_MOUTH

# Strength of what changes mouths that are cut out by their landmarks.
LIGHT = (0.3, 0.8)
# Landmarks.
# Standard deviations: logarithms of size and of height against width, angles in radians, gain of
# each point's motion.
SIZE_SD, ASPECT_SD, ROLL_SD, YAW_SD, GAIN_SD = 0.25, 0.18, 0.1, 0.15, 0.12
# Depth is scaled by a factor in this range.
DEPTH = (0.5, 1.3)
# Noise of each coordinate, in distances between the outer corners of the eyes.
NOISE = (0.0005, 0.004)


def augment_mouth(
    grey: Tensor, size: int, generator: Generator, mirrored: Tensor | None = None
) -> Tensor:
    """Map greyscale mouth crops `(B, T, H, W)` in [0, 1] to augmented ones `(B, T, size, size)`.

    Each clip gets a random strength from untouched to heavy; weak ones are more frequent. Which
    clips to mirror, `(B, 1)`, is drawn by default.
    """
    strength = _uniform((len(grey), 1), generator) ** 1.5
    grey = warp(grey, size, strength, generator, mirrored)
    grey = relight(grey, strength, generator)
    grey = occlude(grey, strength, generator)
    return soften(grey, strength, generator)


def augment_face(
    landmarks: Tensor, mouths: Tensor, size: int, generator: Generator, heavy: bool = False
) -> tuple[Tensor, Tensor]:
    """Augment landmarks and mouths of the same clips, of which both or neither are mirrored.

    Mouths that are cut out by their landmarks vary less than others, so they are changed less than
    by `augment_mouth`, unless `heavy`: nothing is hidden or inverted.

    Args:
        landmarks: motion `(B, T, 62, 3)`, in the order of `MOUTH_POINTS`.
        mouths: greyscale crops `(B, T, H, W)` in [0, 1].
        size: height and width of the mouths that are returned.
        generator: draws.
        heavy: change mouths as much as `augment_mouth` does, which data of few people needs.
    """
    clips = (len(mouths), 1)
    mirrored = _uniform(clips, generator) < 0.5
    if heavy:
        mouths = augment_mouth(mouths, size, generator, mirrored)
    else:
        strength = LIGHT[0] + (LIGHT[1] - LIGHT[0]) * _uniform(clips, generator)
        mouths = warp(mouths, size, strength, generator, mirrored)
        mouths = relight(mouths, strength, generator, negatives=0.0)
        mouths = soften(mouths, strength, generator)
    return augment_landmarks(landmarks, generator, mirrored[:, 0]), mouths


def warp(
    grey: Tensor,
    size: int,
    strength: Tensor,
    generator: Generator,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Scale, rotate, shear, shift and mirror each clip, with slow drift.

    Args:
        grey: crops `(B, T, H, W)`.
        size: height and width of the result `(B, T, size, size)`.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.
        mirrored: which clips to mirror `(B, 1)`; drawn by default.
    """
    batch, frames, _, _ = grey.shape

    def varied(clip_sd: float, drift_sd: float) -> Tensor:
        clip = clip_sd * _normal((batch, 1), generator)
        return strength * (clip + drift_sd * _drift(batch, frames, generator))

    log_scale, log_aspect, shear = varied(0.15, 0.02), varied(0.12, 0.0), varied(0.1, 0.0)
    roll, shift_x, shift_y = varied(0.16, 0.03), varied(0.11, 0.03), varied(0.11, 0.03)
    if mirrored is None:
        mirrored = _uniform((batch, 1), generator) < 0.5
    mirror = torch.where(mirrored, -1.0, 1.0)
    across, down = torch.exp(log_scale + log_aspect) * mirror, torch.exp(log_scale - log_aspect)
    cos, sin = torch.cos(roll), torch.sin(roll)
    top = [across * cos, down * (shear * cos - sin), shift_x]
    bottom = [across * sin, down * (shear * sin + cos), shift_y]
    theta = torch.stack(top + bottom, dim=-1).reshape(batch * frames, 2, 3)
    grid = F.affine_grid(theta, [batch * frames, 1, size, size], align_corners=False)
    flat = grey.reshape(batch * frames, 1, *grey.shape[2:])
    out = F.grid_sample(flat, grid, padding_mode="reflection", align_corners=False)
    return out.reshape(batch, frames, size, size)


def relight(
    grey: Tensor, strength: Tensor, generator: Generator, negatives: float = 0.15
) -> Tensor:
    """Change gamma and contrast, add a lighting gradient and slow flicker, and invert a few clips.

    Args:
        grey: crops `(B, T, H, W)`.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.
        negatives: share of the strongest clips that are inverted.
    """
    batch, frames, height, width = grey.shape
    shape = (batch, 1, 1, 1)
    strong = strength[..., None, None]
    grey = grey.clamp(0, 1) ** torch.exp(0.5 * strong * _normal(shape, generator))
    y = _axis(height, generator)[:, None]
    x = _axis(width, generator)
    slope = 0.45 * (_normal(shape, generator) * x + _normal(shape, generator) * y)
    flicker = 0.04 * _drift(batch, frames, generator)[..., None, None]
    grey = grey * torch.exp(strong * (slope + flicker + 0.2 * _normal(shape, generator)))
    negative = _uniform(shape, generator) < negatives * strong
    return torch.where(negative, 1 - grey, grey)


def occlude(grey: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Cover part of some clips with a still patch, such as a microphone, a hand or a caption.

    Args:
        grey: crops `(B, T, H, W)`.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.
    """
    batch, _, height, width = grey.shape
    shape = (batch, 1, 1, 1)
    angle = 2 * math.pi * _uniform(shape, generator)
    reach = 0.6 + 0.4 * _uniform(shape, generator)
    y = _axis(height, generator)[:, None] - reach * torch.sin(angle)
    x = _axis(width, generator) - reach * torch.cos(angle)
    size_x = 0.15 + 0.4 * _uniform(shape, generator)
    size_y = 0.15 + 0.4 * _uniform(shape, generator)
    inside = (x / size_x) ** 4 + (y / size_y) ** 4 < 1
    hidden = inside & (_uniform(shape, generator) < 0.5 * strength[..., None, None])
    return torch.where(hidden, _uniform(shape, generator).expand_as(grey), grey)


def soften(grey: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Blur some clips by downsampling and upsampling them, and add sensor noise to all.

    Args:
        grey: crops `(B, T, H, W)`.
        strength: of each clip `(B, 1)`, in [0, 1].
        generator: draws.
    """
    batch, frames, height, width = grey.shape
    strong = strength[..., None, None]
    scale = 0.4 + 0.4 * float(_uniform((1,), generator))
    small = F.interpolate(grey, scale_factor=scale, mode="area")
    blurred = F.interpolate(small, (height, width), mode="bilinear")
    grey = torch.where(_uniform((batch, 1, 1, 1), generator) < 0.6 * strong, blurred, grey)
    level = 0.05 * strong * _uniform((batch, 1, 1, 1), generator) ** 2
    return grey + level * _normal((batch, frames, height, width), generator)


def augment_landmarks(
    motion: Tensor, generator: Generator, mirrored: Tensor | None = None
) -> Tensor:
    """Augment the motion of landmarks `(B, T, 62, 3)`, in the order of `MOUTH_POINTS`.

    Which clips to mirror, `(B,)`, is drawn by default.
    """
    batch = len(motion)

    def normal(*shape: int) -> Tensor:
        return _normal(shape, generator)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * _uniform((batch,), generator)

    size, aspect = SIZE_SD * normal(batch), ASPECT_SD * normal(batch) / 2
    factors = torch.stack(
        [torch.exp(size - aspect), torch.exp(size + aspect), torch.exp(size) * uniform(*DEPTH)], 1
    )
    x, y, z = (motion * factors[:, None, None]).unbind(-1)
    x, y = _rotated(x, y, ROLL_SD * normal(batch))
    x, z = _rotated(x, z, YAW_SD * normal(batch))
    if mirrored is None:
        mirrored = uniform(0, 1) < 0.5
    moved = torch.stack([x, y, z], -1)
    flipped = moved[:, :, list(MIRRORED_MOUTH)] * moved.new_tensor([-1.0, 1.0, 1.0])
    moved = torch.where(mirrored[:, None, None, None], flipped, moved)
    gain = 1 + GAIN_SD * normal(batch, 1, *motion.shape[2:])
    noise = uniform(*NOISE)[:, None, None, None] * normal(*motion.shape)
    return moved * gain + noise


def _rotated(a: Tensor, b: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    return cos * a - sin * b, sin * a + cos * b


def _drift(batch: int, frames: int, generator: Generator) -> Tensor:
    """Draw slow smooth curves `(batch, frames)` of about unit size, with a knot every 12 frames."""
    knots = _normal((batch, 1, 2 + frames // 12), generator)
    return F.interpolate(knots, frames, mode="linear", align_corners=True)[:, 0]


def _axis(steps: int, generator: Generator) -> Tensor:
    """Return coordinates `(steps,)` from -1 to 1, on the generator's device."""
    return torch.linspace(-1, 1, steps, device=generator.device)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)
