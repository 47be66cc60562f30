"""Distillation losses for VocaLiST: ways for a teacher to train a narrower student.

Each is a module whose forward maps the activations of student and teacher, and the labels, to a
scalar. Parameters that are learned with the student, such as loss weights, are its own. Your own
distillation is a module with the same forward.
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

# The floor that the public code puts under masked attention; see AttentionRelationLoss.
FLOOR = 1e-5

Model = TypeVar("Model", bound=nn.Module)


class AttentionDistillation(nn.Module):
    """MTDVocaLiST's loss: cross-entropy of the labels, and divergences of attention and values.

    For each layer of three transformers there are the divergence of its attention and that of its
    value relations, and every term has a learned weight. Exact against the public code, with its
    floor under the video's attention to the audio, the only one that is masked for windows of 5
    frames.

    Source: Chen and others, Multimodal Transformer Distillation for Audio-Visual Synchronization
    (ICASSP 2024).

    Args:
        depth: layers of each transformer.
        temperature: divides the logits of each relation's softmax.
    """

    def __init__(self, depth: int = 4, temperature: float = 1.0) -> None:
        super().__init__()
        self.relations = AttentionRelationLoss(temperature)
        self.floored = AttentionRelationLoss(temperature, FLOOR)
        self.weighting = UncertaintyWeighting(1 + 3 * depth)

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """Map the activations of both and labels `(B,)`, 1 in sync and 0 not, to a scalar."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        return self.weighting(torch.cat([labels[None], self.divergences(student, teacher).sum(1)]))

    def divergences(self, student: VocalistActivations, teacher: VocalistActivations) -> Tensor:
        """Compute the divergences of attention and of value relations of each layer.

        Returns:
            `(3 depth, 2)`: the layers of the fusion, then those where audio attends to video, then
            those where video attends to audio.
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
    """Cross-entropy of the labels, and of the teacher's softened scores.

    Args:
        temperature: softens the scores of both.
        weight: weight of the second term.
    """

    def __init__(self, temperature: float = 5.0, weight: float = 1.0) -> None:
        super().__init__()
        self.soft, self.weight = SoftTargetLoss(temperature), weight

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """Map activations and labels to a scalar, as in `AttentionDistillation`."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        return labels + self.weight * self.soft(student.scores, teacher.scores)


class FitNetsDistillation(nn.Module):
    """Cross-entropy of the labels, and the FitNets hint loss of the pooled tokens before the head.

    Args:
        student_dim: width of the student's tokens.
        teacher_dim: width of the teacher's.
        weight: weight of the hint loss; 100 as in the public code.
    """

    def __init__(self, student_dim: int, teacher_dim: int, weight: float = 100.0) -> None:
        super().__init__()
        # `hint` is a key of the states of runs.
        self.hint, self.weight = FitNetsHintLoss(student_dim, teacher_dim), weight

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """Map activations and labels to a scalar, as in `AttentionDistillation`."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        return labels + self.weight * self.hint(student.pooled, teacher.pooled)


class RelationalDistillation(nn.Module):
    """Cross-entropy of the labels, and relational knowledge distillation (RKD) of pooled tokens.

    Args:
        distance: weight of the distances between the pooled tokens of the batch.
        angle: weight of the angles between them.
    """

    def __init__(self, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        self.relational = RelationalKdLoss(distance, angle)

    def forward(
        self, student: VocalistActivations, teacher: VocalistActivations, in_sync: Tensor
    ) -> Tensor:
        """Map activations and labels to a scalar, as in `AttentionDistillation`."""
        labels = F.binary_cross_entropy_with_logits(student.scores, in_sync)
        relational: Tensor = self.relational(student.pooled, teacher.pooled)
        return labels + relational


class FrozenTeacher(Generic[Model]):
    """A model in eval mode, without gradients.

    It is no `nn.Module`: a training step that holds it does not train, save or average it, and
    copies of the step share it.

    Args:
        model: the model, which is frozen.
    """

    def __init__(self, model: Model) -> None:
        self.model = model.eval().requires_grad_(False)

    def __deepcopy__(self, _: dict[int, Any]) -> "FrozenTeacher[Model]":
        return self

    def on(self, device: torch.device) -> Model:
        """Return the model after moving it to a device."""
        return self.model.to(device)
