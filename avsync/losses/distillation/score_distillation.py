"""Distillation of scores: the student is as sure of each candidate as its teachers are.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015), with the candidates
of a window as classes.
"""

import math

import torch
from torch import Tensor, nn


class ScoreDistillationLoss(nn.Module):
    """`E = t^2 mean KL(p || q)`, with q the softmax of the student's scores over t, and p the mean
    of the teachers' softmaxes over t: several of them that disagree teach doubt.

    Args:
        temperature: t.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature = temperature

    def forward(self, student: Tensor, teachers: Tensor) -> Tensor:
        """Maps scores `(..., K)` of the student and `(E, ..., K)` of E teachers to a scalar."""
        if teachers.shape[1:] != student.shape or not len(teachers):
            shapes = f"{tuple(teachers.shape)} for student {tuple(student.shape)}"
            raise ValueError(f"teachers must be (E, ..., K) for student (..., K), got {shapes}")
        precise = torch.promote_types(student.dtype, torch.float32)
        log_student = (student.to(precise) / self.temperature).log_softmax(-1)
        log_each = (teachers.to(precise) / self.temperature).log_softmax(-1)
        log_teacher = log_each.logsumexp(0) - math.log(len(teachers))
        divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)
        return divergence.mean() * self.temperature**2
