"""Augment landmarks of the mouth for sync training: other faces, other ways to move, noise.

A clip is changed in the same way from its first frame to its last, but for noise. All draws come
from the given generator, which must be on the device of the tensors.
"""

import torch
from torch import Generator, Tensor

from avsync.faces.face_frame import MIRRORED_MOUTH

# Standard deviations: logarithms of size and of height against width, angles in radians, gain of
# each point's motion.
SIZE_SD, ASPECT_SD, ROLL_SD, YAW_SD, GAIN_SD = 0.25, 0.18, 0.1, 0.15, 0.12
# Depth is scaled by a factor in this range.
DEPTH = (0.5, 1.3)
# Noise of each coordinate, in distances between the outer corners of the eyes.
NOISE = (0.0005, 0.004)


def augment_landmarks(motion: Tensor, generator: Generator) -> Tensor:
    """Augment the motion of landmarks `(B, T, 62, 3)`, in the order of `MOUTH_POINTS`."""
    batch = len(motion)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=motion.device)

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(batch, generator=generator, device=motion.device)
        return low + (high - low) * drawn

    size, aspect = SIZE_SD * normal(batch), ASPECT_SD * normal(batch) / 2
    factors = torch.stack(
        [torch.exp(size - aspect), torch.exp(size + aspect), torch.exp(size) * uniform(*DEPTH)], 1
    )
    x, y, z = (motion * factors[:, None, None]).unbind(-1)
    x, y = _rotated(x, y, ROLL_SD * normal(batch))
    x, z = _rotated(x, z, YAW_SD * normal(batch))
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
