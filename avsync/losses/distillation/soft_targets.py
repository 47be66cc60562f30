"""Distillation by soft targets: the student gives each pair the teacher's probability.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015), for two classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SoftTargetLoss(nn.Module):
    """`E = t^2 / B sum_b KL(sigmoid(teacher_b / t) || sigmoid(student_b / t))`, over two classes.

    A temperature above 1 shows the student how sure the teacher is; its square keeps the gradient's
    size.

    Args:
        temperature: t.
    """

    def __init__(self, temperature: float = 5.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Maps logits `(B,)` of both to a scalar."""
        if student.shape != teacher.shape:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(f"student and teacher must have one shape (B,), got {shapes}")
        target = torch.sigmoid(teacher / self.temperature)
        scaled = torch.stack([student, teacher]) / self.temperature
        cross, entropy = F.binary_cross_entropy_with_logits(
            scaled, target.expand_as(scaled), reduction="none"
        )
        return (cross - entropy).mean() * self.temperature**2
