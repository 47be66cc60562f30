"""Relational distillation: items of a batch lie to each other as the teacher's do.

Park, Kim, Lu and Cho, Relational Knowledge Distillation (CVPR 2019), equations 5 to 10.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class RelationalKdLoss(nn.Module):
    """Huber loss on the distances of all pairs, over their mean, and on the cosines of the angles
    of all triplets. Neither sees widths, shifts, turns or sizes of the features.

    Args:
        distance: weight of the distances.
        angle: weight of the angles.
    """

    def __init__(self, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        if distance < 0 or angle < 0:
            raise ValueError(f"distance and angle must not be negative, got {distance} and {angle}")
        self.distance, self.angle = distance, angle

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Maps features `(B, D student)` and `(B, D teacher)` to a scalar."""
        shaped = student.ndim == teacher.ndim == 2 and len(student) == len(teacher)
        if not shaped or len(teacher) < 2:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(f"student and teacher must be (B, D), B at least 2, got {shapes}")
        ours, theirs = differences(student), differences(teacher)
        distance = F.smooth_l1_loss(relative_distances(ours), relative_distances(theirs))
        angle = F.smooth_l1_loss(cosines(ours), cosines(theirs))
        return self.distance * distance + self.angle * angle


def differences(features: Tensor) -> Tensor:
    """Maps features `(B, D)` to `(B, B, D)`: from each to each, in float32 at least."""
    precise = features.to(torch.promote_types(features.dtype, torch.float32))
    return precise[None] - precise[:, None]


def relative_distances(between: Tensor) -> Tensor:
    """Maps differences `(B, B, D)` to distances `(B, B)` over the mean distance of two items."""
    distance = torch.linalg.vector_norm(between, dim=-1)
    count = len(between) * (len(between) - 1)
    return distance / (distance.sum() / count).clamp(min=1e-12)


def cosines(between: Tensor) -> Tensor:
    """Maps differences `(B, B, D)` to cosines `(B, B, B)`: at the first, between the other two."""
    length = torch.linalg.vector_norm(between, dim=-1, keepdim=True)
    # Two items at one place have no direction, and no gradient: it has no bound there.
    unit = between / length.masked_fill(length == 0, torch.inf)
    return unit @ rearrange(unit, "b other d -> b d other")
