"""Ways for a VocaLiST to teach a narrower one, each as one module: losses put together.

Each maps what teacher and student think of a batch, and the labels, to a scalar, and holds what is
learned beside the student. A way of yours is a module with the same forward.
"""

from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.losses.distillation.attention_relation import AttentionRelationLoss, value_relations
from avsync.losses.distillation.fitnets_hint import FitNetsHintLoss
from avsync.losses.distillation.relational_kd import RelationalKdLoss
from avsync.losses.distillation.soft_targets import SoftTargetLoss
from avsync.losses.distillation.uncertainty_weighting import UncertaintyWeighting
from avsync.tasks.sync.vocalist import VocalistActivations

# What the public code raises masked attention to; see AttentionRelationLoss.
FLOOR = 1e-5


class AttentionDistillation(nn.Module):
    """MTDVocaLiST's loss: cross-entropy of the labels, and for each layer of three transformers the
    divergence of its attention and that of its value relations, all with learned weights.

    Chen and others, Multimodal Transformer Distillation for Audio-Visual Synchronization (ICASSP
    2024). Exact against the public code, with its floor under the video's attention to the audio,
    the only one that is masked for windows of 5 frames.

    Args:
        depth: layers of each transformer.
        temperature: divides what the softmax of each relation is taken of.
    """

    def __init__(self, depth: int = 4, temperature: float = 1.0) -> None:
        super().__init__()
        self.relations = AttentionRelationLoss(temperature)
        self.floored = AttentionRelationLoss(temperature, FLOOR)
        self.weighting = UncertaintyWeighting(1 + 3 * depth)

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """Map what both think and labels `(B,)`, 1 in sync and 0 not, to a scalar."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        return self.weighting(torch.cat([labels[None], self.divergences(student, teacher).sum(1)]))

    def divergences(self, student: VocalistActivations, teacher: VocalistActivations) -> Tensor:
        """Of attention and of value relations, `(3 depth, 2)`: first of the layers of the fusion,
        then where the audio asks the video, then where the video asks the audio.
        """
        rows = []
        for ours, theirs, attention in (
            (student.fusion, teacher.fusion, self.relations),
            (student.audio_to_video, teacher.audio_to_video, self.relations),
            (student.video_to_audio, teacher.video_to_audio, self.floored),
        ):
            for a, b in zip(ours, theirs, strict=True):
                values = self.relations(value_relations(a.values), value_relations(b.values))
                rows.append(torch.stack([attention(a.logits, b.logits), values]))
        return torch.stack(rows)


class SoftTargetDistillation(nn.Module):
    """Cross-entropy of the labels, and of the teacher's softened answers."""

    def __init__(self, temperature: float = 5.0, weight: float = 1.0) -> None:
        super().__init__()
        self.soft, self.weight = SoftTargetLoss(temperature), weight

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """As in `AttentionDistillation`."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        return labels + self.weight * self.soft(student.scores, teacher.scores)


class HintDistillation(nn.Module):
    """Cross-entropy of the labels, and hints from the pooled tokens before the head (FitNets).

    Args:
        student_dim: width of the student's tokens.
        teacher_dim: width of the teacher's.
        weight: of the hints; 100 as in the public code.
    """

    def __init__(self, student_dim: int, teacher_dim: int, weight: float = 100.0) -> None:
        super().__init__()
        self.hint, self.weight = FitNetsHintLoss(student_dim, teacher_dim), weight

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """As in `AttentionDistillation`."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        return labels + self.weight * self.hint(student.pooled, teacher.pooled)


class RelationalDistillation(nn.Module):
    """Cross-entropy of the labels, and the distances and angles between the pooled tokens of the
    batch (relational knowledge distillation).
    """

    def __init__(self, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        self.relational = RelationalKdLoss(distance, angle)

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """As in `AttentionDistillation`."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        relational: Tensor = self.relational(student.pooled, teacher.pooled)
        return labels + relational


Model = TypeVar("Model", bound=nn.Module)


class FrozenTeacher(Generic[Model]):
    """A model in eval mode, without gradients.

    No module: it is no part of what a training step learns, saves and averages, and copies of the
    step share it.
    """

    def __init__(self, model: Model) -> None:
        self.model = model.eval().requires_grad_(False)

    def __deepcopy__(self, _: dict[int, Any]) -> "FrozenTeacher[Model]":
        return self

    def on(self, device: torch.device) -> Model:
        """Return the model, moved there where it is not yet."""
        return self.model.to(device)
