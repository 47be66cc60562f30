"""Augmentation for sync training: what changes a face or a voice but not when they move.

Mouths and mels are changed clip by clip, the same way from a clip's first frame to its last, except
for slow drifts. All draws come from the generator given, so a run can be repeated; it must be on
the device of what is altered.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def augment_mouth(grey: Tensor, size: int, generator: Generator) -> Tensor:
    """Map grey mouth crops `(B, T, H, W)` in [0, 1] to altered ones `(B, T, size, size)`.

    Every clip has a strength of its own, from untouched to heavy, light ones more often.
    """
    strength = _uniform((len(grey), 1), generator) ** 1.5
    grey = warp(grey, size, strength, generator)
    grey = relight(grey, strength, generator)
    grey = occlude(grey, strength, generator)
    return soften(grey, strength, generator)


def augment_mel(mel: Tensor, generator: Generator) -> Tensor:
    """Map log-mel powers `(B, M, S)` to altered ones: another throat, room, microphone, noise.

    Every clip has a strength of its own, from untouched to heavy, light ones more often.
    """
    mel = warp_bands(mel, _uniform((len(mel), 1), generator), generator)
    strength = _uniform((len(mel), 1), generator) ** 2
    mel = reverberate(mel, strength, generator)
    mel = colour(mel, strength, generator)
    return add_noise_floor(mel, strength, generator)


def warp(grey: Tensor, size: int, strength: Tensor, generator: Generator) -> Tensor:
    """Scale, aspect, roll, shear, shift and mirror of each clip, with a slow drift of the place."""
    batch, frames, _, _ = grey.shape

    def varied(clip_sd: float, drift_sd: float) -> Tensor:
        clip = clip_sd * _normal((batch, 1), generator)
        return strength * (clip + drift_sd * _drift(batch, frames, generator))

    log_scale, log_aspect, shear = varied(0.15, 0.02), varied(0.12, 0.0), varied(0.1, 0.0)
    roll, shift_x, shift_y = varied(0.16, 0.03), varied(0.11, 0.03), varied(0.11, 0.03)
    mirror = torch.where(_uniform((batch, 1), generator) < 0.5, -1.0, 1.0)
    across, down = torch.exp(log_scale + log_aspect) * mirror, torch.exp(log_scale - log_aspect)
    cos, sin = torch.cos(roll), torch.sin(roll)
    top = [across * cos, down * (shear * cos - sin), shift_x]
    bottom = [across * sin, down * (shear * sin + cos), shift_y]
    theta = torch.stack(top + bottom, dim=-1).reshape(batch * frames, 2, 3)
    grid = F.affine_grid(theta, [batch * frames, 1, size, size], align_corners=False)
    flat = grey.reshape(batch * frames, 1, *grey.shape[2:])
    out = F.grid_sample(flat, grid, padding_mode="reflection", align_corners=False)
    return out.reshape(batch, frames, size, size)


def relight(grey: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Gamma, contrast, a lighting gradient, slow flicker, and now and then the negative."""
    batch, frames, height, width = grey.shape
    each = (batch, 1, 1, 1)
    strong = strength[..., None, None]
    grey = grey.clamp(0, 1) ** torch.exp(0.5 * strong * _normal(each, generator))
    y = _line(height, generator)[:, None]
    x = _line(width, generator)
    slope = 0.45 * (_normal(each, generator) * x + _normal(each, generator) * y)
    flicker = 0.04 * _drift(batch, frames, generator)[..., None, None]
    grey = grey * torch.exp(strong * (slope + flicker + 0.2 * _normal(each, generator)))
    negative = _uniform(each, generator) < 0.15 * strong
    return torch.where(negative, 1 - grey, grey)


def occlude(grey: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Return a still patch over part of some clips: a microphone, a hand, a caption."""
    batch, _, height, width = grey.shape
    each = (batch, 1, 1, 1)
    angle = 2 * math.pi * _uniform(each, generator)
    reach = 0.6 + 0.4 * _uniform(each, generator)
    y = _line(height, generator)[:, None] - reach * torch.sin(angle)
    x = _line(width, generator) - reach * torch.cos(angle)
    size_x = 0.15 + 0.4 * _uniform(each, generator)
    size_y = 0.15 + 0.4 * _uniform(each, generator)
    inside = (x / size_x) ** 4 + (y / size_y) ** 4 < 1
    hidden = inside & (_uniform(each, generator) < 0.5 * strength[..., None, None])
    return torch.where(hidden, _uniform(each, generator).expand_as(grey), grey)


def soften(grey: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Blur (down and up again) of some clips, sensor noise on all."""
    batch, frames, height, width = grey.shape
    strong = strength[..., None, None]
    scale = 0.4 + 0.4 * float(_uniform((1,), generator))
    small = F.interpolate(grey, scale_factor=scale, mode="area")
    blurred = F.interpolate(small, (height, width), mode="bilinear")
    grey = torch.where(_uniform((batch, 1, 1, 1), generator) < 0.6 * strong, blurred, grey)
    level = 0.05 * strong * _uniform((batch, 1, 1, 1), generator) ** 2
    return grey + level * _normal((batch, frames, height, width), generator)


def colour(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Gain, spectral tilt and a few broad bumps: another microphone."""
    batch, bands, _ = mel.shape
    tilt = 1.5 * _normal((batch, 1), generator) * _line(bands, generator)
    knots = 0.7 * _normal((batch, 1, 6), generator)
    bumps = F.interpolate(knots, bands, mode="linear", align_corners=True)[:, 0]
    gain = 2.0 * _normal((batch, 1), generator)
    return mel + (gain + strength * (tilt + bumps))[..., None]


def warp_bands(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Stretches the frequency axis: a shorter or longer vocal tract (Jaitly and Hinton, 2013)."""
    batch, bands, steps = mel.shape
    strong = strength[..., None]
    stretch = torch.exp(0.15 * strong * _normal((batch, 1, 1), generator))
    shift = 0.05 * strong * _normal((batch, 1, 1), generator)
    y = (_line(bands, generator)[None, :, None] + 1) * stretch - 1 + shift
    x = _line(steps, generator)[None, None, :]
    grid = torch.stack([x.expand(batch, bands, steps), y.expand(batch, bands, steps)], dim=-1)
    warped = F.grid_sample(mel[:, None], grid, padding_mode="border", align_corners=True)
    return warped[:, 0]


def reverberate(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Smears the power of some clips over later columns, decaying as in a room (60 dB in 0.15 to
    0.6 s).
    """
    batch, _, steps = mel.shape
    length = min(30, steps)
    columns = torch.arange(1, length, device=generator.device)
    decay = 0.15 + 0.45 * _uniform((batch, 1), generator)
    tail = 10 ** (-6 * columns * 0.01 / decay) * 0.3 * _uniform((batch, 1), generator)
    wet = _uniform((batch, 1), generator) < 0.6 * strength
    tail = torch.where(wet, tail, 0.0)
    impulse = F.pad(tail, (1, 0), value=1.0)
    power = F.pad(mel.exp(), (length - 1, 0))
    smeared = F.conv1d(power.transpose(0, 1), impulse.flip(1)[:, None], groups=batch)
    return smeared.transpose(0, 1).clamp_min(1e-8).log()


def add_noise_floor(mel: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Add noise of a random colour, 5 to 70 dB below its loud parts, to half of the clips.

    The others keep what is heard in their silence: breath and lips that part.
    """
    batch, bands, _ = mel.shape
    quiet = _uniform((batch, 1, 1), generator) < 0.5
    loud = mel.amax(1).quantile(0.9, dim=-1)[:, None, None]
    quietest = 70 - 30 * strength[..., None]
    depth_db = quietest - 35 * strength[..., None] * _uniform((batch, 1, 1), generator)
    depth = depth_db * math.log(10) / 10
    tilt = 0.8 * _normal((batch, 1, 1), generator) * _line(bands, generator)[:, None]
    grain = 0.5 * _normal(tuple(mel.shape), generator)
    return torch.where(quiet, mel, torch.logaddexp(mel, loud - depth + tilt + grain))


def _drift(batch: int, frames: int, generator: Generator) -> Tensor:
    """Slow smooth curves `(batch, frames)` of about unit size: a knot every 12 frames or so."""
    knots = _normal((batch, 1, 2 + frames // 12), generator)
    return F.interpolate(knots, frames, mode="linear", align_corners=True)[:, 0]


def _line(steps: int, generator: Generator) -> Tensor:
    """From -1 to 1 in so many steps, on the generator's device."""
    return torch.linspace(-1, 1, steps, device=generator.device)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)
