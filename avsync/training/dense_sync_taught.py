"""A dense_sync that learns from others as well: of other sizes, or of other seeds, or both."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.losses.score_distillation import ScoreDistillationLoss
from avsync.losses.shift_matching import ShiftMatchingLoss
from avsync.tasks.dense_sync import DenseSync
from avsync.timing import SAMPLES_PER_FRAME, exact_div
from avsync.training.frozen_teacher import FrozenTeacher


class TaughtShiftMatching(nn.Module):
    """A dense_sync model with its loss and its teachers: one training step's forward pass.

    The value is that of the matching loss, which has a chance level, and by which runs can be
    compared; the gradient is that of the matching loss and the teachers' together.

    Args:
        model: the student.
        teachers: models that see the same crops and mel; their mean is taught.
        first_step: audio step that the first window belongs to.
        weight: of what they teach.
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
        ours = _seen(model)
        for teacher in teachers:
            if (theirs := _seen(teacher)) != ours:
                raise ValueError(
                    f"teachers must see crops of {ours[0]} pixels and {ours[1]} mel bands, as the "
                    f"student, got {theirs[0]} and {theirs[1]}"
                )
        self.model = model
        self.teachers = [FrozenTeacher(teacher) for teacher in teachers]
        hops = exact_div(SAMPLES_PER_FRAME, model.front_end.hop_length)
        self.matching = ShiftMatchingLoss(steps_per_window=hops)
        self.distillation = ScoreDistillationLoss()
        self.first_step, self.weight = first_step, weight

    def forward(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Maps grey mouths `(B, T, H, W)` and log-mel `(B, M, S)` to a scalar."""
        video, audio = _entries(self.model, grey, mel)
        matching: Tensor = self.matching(video, audio, self.first_step)
        taught = self.weight * self.distillation(video @ audio.mT, self._scores(grey, mel))
        return matching + (taught - taught.detach())

    @torch.no_grad()
    def _scores(self, grey: Tensor, mel: Tensor) -> Tensor:
        """Each teacher's scores of all windows at all audio steps, `(E, B, T, S)`."""
        scores = []
        for teacher in self.teachers:
            video, audio = _entries(teacher.on(grey.device), grey, mel)
            scores.append(video @ audio.mT)
        return torch.stack(scores)


def _entries(model: DenseSync, grey: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
    video = model.weigh(model.mouth.encode_grey(grey))
    return video, F.normalize(model.mel(mel), dim=-1)


def _seen(model: DenseSync) -> tuple[int, int]:
    return model.spec.width, model.mel.n_mels
