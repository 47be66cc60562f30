"""Distillation of relations: the student's attention has the teacher's distribution.

Chen and others, Multimodal Transformer Distillation for Audio-Visual Synchronization (ICASSP 2024),
after MiniLM (Wang et al., NeurIPS 2020): query-key relations are what attention weighs by, value
relations say which values are alike. Widths of teacher and student may differ; heads may not.
"""

import torch
from torch import Tensor, nn


class RelationDistillationLoss(nn.Module):
    """Mean of the terms of `KL(softmax(teacher / t) || softmax(student / t)) t^2`.

    The mean runs over every element, keys as well, as in the public code: a row of K keys weighs
    `1 / K` of its divergence.

    Args:
        temperature: t.
        floor: logits of both sides below this count as this. The public code has 1e-5 where the
            attention is masked, which levels all that a mask or a negative logit tells apart.
    """

    def __init__(self, temperature: float = 1.0, floor: float | None = None) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature, self.floor = temperature, floor

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Maps relations `(..., L, K)`, logits of a softmax over K, to a scalar; -inf is masked."""
        if student.shape != teacher.shape:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(f"student and teacher must have one shape (..., L, K), got {shapes}")
        log_student, log_teacher = self._log_softmax(student), self._log_softmax(teacher)
        probability = log_teacher.exp()
        # What the teacher gives nothing adds nothing, also where both are -inf.
        surprise = (log_teacher - log_student).masked_fill(probability == 0, 0)
        return (probability * surprise).mean() * self.temperature**2

    def _log_softmax(self, relations: Tensor) -> Tensor:
        precise = relations.to(torch.promote_types(relations.dtype, torch.float32))
        floored = precise if self.floor is None else precise.clamp(min=self.floor)
        return (floored / self.temperature).log_softmax(-1)


def value_relations(values: Tensor) -> Tensor:
    """Maps values `(..., K, D)` of each head to their scaled products `(..., K, K)`."""
    return values * values.shape[-1] ** -0.5 @ values.transpose(-1, -2)
