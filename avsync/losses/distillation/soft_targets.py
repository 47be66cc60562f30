"""Knowledge distillation by soft targets, for the two classes in sync and out of sync.

Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SoftTargetLoss(nn.Module):
    """Soft-target loss: `E = t^2 / B sum_b KL(sigmoid(teacher_b / t) || sigmoid(student_b / t))`.

    A temperature above 1 exposes the teacher's confidence; its square keeps the scale of the
    gradient.

    Args:
        temperature: t.
    """

    def __init__(self, temperature: float = 5.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Map the logits `(B,)` of student and teacher to a scalar."""
        if student.shape != teacher.shape:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(f"student and teacher must have one shape (B,), got {shapes}")
        target = torch.sigmoid(teacher / self.temperature)
        scaled = torch.stack([student, teacher]) / self.temperature
        cross, entropy = F.binary_cross_entropy_with_logits(
            scaled, target.expand_as(scaled), reduction="none"
        )
        return (cross - entropy).mean() * self.temperature**2
