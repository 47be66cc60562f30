"""Knowledge distillation of the scores over K candidates, from one teacher or an ensemble.

Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015), with the
candidates of a window as classes.
"""

import math

import torch
from torch import Tensor, nn


class ScoreDistillationLoss(nn.Module):
    """Distillation loss over K candidates: `E = t^2 mean KL(p || q)`.

    q is the softmax of the student's scores over t, p the mean of the teachers' softmaxes over t,
    so that disagreement of the teachers teaches uncertainty.

    Args:
        temperature: t.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, student: Tensor, teachers: Tensor) -> Tensor:
        """Compare the student's distribution with the teachers' mean.

        Args:
            student: scores `(..., K)`.
            teachers: scores `(E, ..., K)` of E teachers.

        Returns:
            A scalar, computed in float32 or float64.
        """
        if teachers.shape[1:] != student.shape or not len(teachers):
            shapes = f"{tuple(teachers.shape)} for student {tuple(student.shape)}"
            raise ValueError(f"teachers must be (E, ..., K) for student (..., K), got {shapes}")
        precise = torch.promote_types(student.dtype, torch.float32)
        log_student = (student.to(precise) / self.temperature).log_softmax(-1)
        log_teachers = (teachers.to(precise) / self.temperature).log_softmax(-1)
        log_teacher = log_teachers.logsumexp(0) - math.log(len(teachers))
        divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)
        return divergence.mean() * self.temperature**2
