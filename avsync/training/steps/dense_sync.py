"""Training steps of dense_sync: InfoNCE over the shifts of a clip, with or without teachers."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.losses.distillation.score_distillation import ScoreDistillationLoss
from avsync.losses.shift_info_nce import ShiftInfoNceLoss
from avsync.tasks.sync.dense_sync import DenseSync
from avsync.timing import SAMPLES_PER_FRAME, exact_div
from avsync.training.steps.distillation import FrozenTeacher


class DenseSyncStep(nn.Module):
    """A dense_sync model with its loss: a training step's forward pass.

    Args:
        model: the model.
        first_step: audio step that the first window belongs to.
    """

    def __init__(self, model: DenseSync, first_step: int) -> None:
        super().__init__()
        self.model, self.first_step = model, first_step
        self.criterion = shift_loss(model)

    def forward(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Map grey mouths `(B, T, H, W)` and log-mel `(B, M, S)` to the loss."""
        video, audio = embed(self.model, grey, mel)
        loss: Tensor = self.criterion(video, audio, self.first_step)
        return loss


class DistilledDenseSyncStep(nn.Module):
    """A dense_sync model with its loss and its teachers: a training step's forward pass.

    The value is that of the InfoNCE loss, which has a chance level, and by which runs can be
    compared; the gradient is that of the InfoNCE and the distillation loss together.

    Args:
        model: the student.
        teachers: models with the same crops and mel; the mean of their distributions over the
            shifts is the target.
        first_step: audio step that the first window belongs to.
        weight: weight of the distillation loss.

    Raises:
        ValueError: there is no teacher, the weight is not positive, or a teacher's inputs differ.
    """

    def __init__(
        self,
        model: DenseSync,
        teachers: Sequence[DenseSync],
        first_step: int,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not teachers or weight <= 0:
            raise ValueError(
                "there must be a teacher and a positive weight, "
                f"got {len(teachers)} teachers and {weight}"
            )
        ours = _input_size(model)
        for teacher in teachers:
            if (theirs := _input_size(teacher)) != ours:
                raise ValueError(
                    f"teachers must see crops of {ours[0]} pixels and {ours[1]} mel bands, as the "
                    f"student, got {theirs[0]} and {theirs[1]}"
                )
        self.model, self.first_step, self.weight = model, first_step, weight
        self.teachers = [FrozenTeacher(teacher) for teacher in teachers]
        self.matching = shift_loss(model)
        self.distillation = ScoreDistillationLoss()

    def forward(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Map grey mouths `(B, T, H, W)` and log-mel `(B, M, S)` to a scalar."""
        video, audio = embed(self.model, grey, mel)
        matching: Tensor = self.matching(video, audio, self.first_step)
        targets = self.teacher_scores(grey, mel)
        distilled = self.weight * self.distillation(video @ audio.mT, targets)
        return matching + (distilled - distilled.detach())

    @torch.no_grad()
    def teacher_scores(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Return each teacher's scores of all windows at all audio steps, `(E, B, T, S)`."""
        scores = []
        for teacher in self.teachers:
            video, audio = embed(teacher.on(grey.device), grey, mel)
            scores.append(video @ audio.mT)
        return torch.stack(scores)


def shift_loss(model: DenseSync) -> ShiftInfoNceLoss:
    """Return the InfoNCE loss over shifts, for the hop length of a model."""
    hops = exact_div(SAMPLES_PER_FRAME, model.front_end.hop_length)
    return ShiftInfoNceLoss(steps_per_window=hops)


def embed(model: DenseSync, grey: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
    """Return video embeddings `(B, T', D)` and unit audio embeddings `(B, S', D)` of a batch."""
    video = model.weigh(model.mouth.encode_grey(grey))
    return video, F.normalize(model.mel(mel), dim=-1)


def _input_size(model: DenseSync) -> tuple[int, int]:
    return model.spec.width, model.mel.n_mels
