"""Relational knowledge distillation (RKD): match distances and angles between batch items.

Source: Park, Kim, Lu and Cho, Relational Knowledge Distillation (CVPR 2019), equations 5 to 10.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class RelationalKdLoss(nn.Module):
    """RKD loss: Huber loss on relative distances of all pairs and on angles of all triplets.

    Distances are relative to their mean, and angles are compared by cosine, so the loss does not
    depend on the width, translation, rotation or scale of the features.

    Args:
        distance: weight of the distance term.
        angle: weight of the angle term.
    """

    def __init__(self, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        if distance < 0 or angle < 0:
            raise ValueError(f"distance and angle must not be negative, got {distance} and {angle}")
        self.distance, self.angle = distance, angle

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare the relations within a batch of at least 2 items.

        Args:
            student: features `(B, student_dim)`.
            teacher: features `(B, teacher_dim)` of the same items.

        Returns:
            A scalar.
        """
        shaped = student.ndim == teacher.ndim == 2 and len(student) == len(teacher)
        if not shaped or len(teacher) < 2:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(f"student and teacher must be (B, D), B at least 2, got {shapes}")
        ours, theirs = _differences(student), _differences(teacher)
        distance = F.smooth_l1_loss(_relative_distances(ours), _relative_distances(theirs))
        angle = F.smooth_l1_loss(_angle_cosines(ours), _angle_cosines(theirs))
        return self.distance * distance + self.angle * angle


def _differences(features: Tensor) -> Tensor:
    """Map features `(B, D)` to all differences `(B, B, D)`, in float32 or float64."""
    precise = features.to(torch.promote_types(features.dtype, torch.float32))
    return precise[None] - precise[:, None]


def _relative_distances(differences: Tensor) -> Tensor:
    """Map differences `(B, B, D)` to distances `(B, B)`, relative to the mean distance."""
    distance = torch.linalg.vector_norm(differences, dim=-1)
    count = len(differences) * (len(differences) - 1)
    return distance / (distance.sum() / count).clamp(min=1e-12)


def _angle_cosines(differences: Tensor) -> Tensor:
    """Map differences `(B, B, D)` to cosines `(B, B, B)` of the angle at the first of 3 items."""
    length = torch.linalg.vector_norm(differences, dim=-1, keepdim=True)
    # Two equal items have no direction; they get no gradient, which would be unbounded there.
    unit = differences / length.masked_fill(length == 0, torch.inf)
    return unit @ rearrange(unit, "b other d -> b d other")
