"""Attention distillation (MiniLM): match the teacher's query-key and value-value relations.

Query-key relations are the attention logits; value relations are the similarities of values. The
widths of teacher and student may differ, their numbers of heads may not.

Source: Chen and others, Multimodal Transformer Distillation for Audio-Visual Synchronization
(MTDVocaLiST, ICASSP 2024), after MiniLM (Wang et al., NeurIPS 2020).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionRelationLoss(nn.Module):
    """Mean of the terms of `KL(softmax(teacher / t) || softmax(student / t)) t^2`.

    The mean is over all elements, keys as well, as in the public code: a row of K keys weighs
    `1 / K` of its divergence.

    Args:
        temperature: t.
        floor: minimum to which logits of both sides are clamped. The public code has 1e-5 where the
            attention is masked, which makes masked keys and negative logits equal.
    """

    def __init__(self, temperature: float = 1.0, floor: float | None = None) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.temperature, self.floor = temperature, floor

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare two relations.

        Args:
            student: logits `(..., L, K)` of a softmax over K; -inf is masked.
            teacher: the teacher's, of the same shape.

        Returns:
            A scalar.
        """
        if student.shape != teacher.shape:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(f"student and teacher must have one shape (..., L, K), got {shapes}")
        ours, theirs = self._softmax(student), self._softmax(teacher)
        # Where both are masked the probability is 0: no logarithm, and no contribution.
        log_ours = ours.clamp(min=torch.finfo(torch.float32).tiny).log()
        return F.kl_div(log_ours, theirs, reduction="none").mean() * self.temperature**2

    def _softmax(self, relations: Tensor) -> Tensor:
        floored = relations if self.floor is None else relations.clamp(min=self.floor)
        # Softmax in float32 whatever the dtype, and a separate logarithm, as in the reference.
        softmax = (floored / self.temperature).float().softmax(-1)
        return softmax.to(torch.promote_types(relations.dtype, torch.float32))


def value_relations(values: Tensor) -> Tensor:
    """Map the values `(..., K, D)` of each head to their scaled products `(..., K, K)`."""
    return values * values.shape[-1] ** -0.5 @ values.transpose(-1, -2)
