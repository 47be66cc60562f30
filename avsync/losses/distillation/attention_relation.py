"""Distillation of relations: the student's attention has the teacher's distribution.

Chen and others, Multimodal Transformer Distillation for Audio-Visual Synchronization (ICASSP 2024),
after MiniLM (Wang et al., NeurIPS 2020): query-key relations are what attention weighs by, value
relations say which values are alike. Widths of teacher and student may differ; heads may not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionRelationLoss(nn.Module):
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
        ours, theirs = self._softmax(student), self._softmax(teacher)
        # What is masked in both has no logarithm, and adds nothing.
        log_ours = ours.clamp(min=torch.finfo(torch.float32).tiny).log()
        return F.kl_div(log_ours, theirs, reduction="none").mean() * self.temperature**2

    def _softmax(self, relations: Tensor) -> Tensor:
        floored = relations if self.floor is None else relations.clamp(min=self.floor)
        # In float32 whatever the dtype, and the logarithm apart, as in the reference.
        softmax = (floored / self.temperature).float().softmax(-1)
        return softmax.to(torch.promote_types(relations.dtype, torch.float32))


def value_relations(values: Tensor) -> Tensor:
    """Maps values `(..., K, D)` of each head to their scaled products `(..., K, K)`."""
    return values * values.shape[-1] ** -0.5 @ values.transpose(-1, -2)
