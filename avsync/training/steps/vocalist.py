"""Training steps of VocaLiST and of its distilled students, with an aid for fresh encoders.

Each step's value is the cross-entropy of the labels, whose chance level is ln 2, so that runs with
different aids and distillation losses can be compared. Its gradient is that of the whole loss.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsync.losses.info_nce import InfoNceLoss
from avsync.tasks.sync.vocalist import Vocalist, capture_activations
from avsync.training.steps.distillation import FrozenTeacher


class VocalistStep(nn.Module):
    """A VocaLiST model with the binary cross-entropy of pairs: a training step's forward pass.

    As in the public training, the mel is that of the window alone, with its ends mirrored; in
    inference a model gets the audio beyond them.

    Args:
        model: the model.
        align: weight of the `EncoderAlignmentLoss`.
    """

    chance = math.log(2)

    def __init__(self, model: Vocalist, align: float = 0.0) -> None:
        super().__init__()
        self.model, self.alignment = model, EncoderAlignmentLoss(align)

    def forward(self, frames: Tensor, wav: Tensor, in_sync: Tensor) -> Tensor:
        """Map a batch of `pair_batches` to the loss.

        Args:
            frames: frames `(B, 3, T, 48, 96)` in [0, 1].
            wav: audio of these frames `(B, 640 T)`.
            in_sync: labels `(B,)`, 1 in sync and 0 not.

        Returns:
            A scalar.
        """
        mel = window_mel(self.model, wav)
        video, audio = self.model.tokens(frames, mel)
        loss = F.binary_cross_entropy_with_logits(self.model.join(video, audio), in_sync)
        aligned: Tensor = self.alignment(loss, video, audio, in_sync)
        return aligned


class VocalistDistillationStep(nn.Module):
    """A student VocaLiST with its teacher and a distillation loss: a training step's forward pass.

    Args:
        model: the student.
        teacher: a frozen model with windows of the same length.
        distillation: maps the activations of both and the labels to a scalar; see
            `avsync.training.steps.distillation`.
        align: weight of the student's `EncoderAlignmentLoss`.

    Raises:
        ValueError: the windows of student and teacher differ.
    """

    chance = math.log(2)

    def __init__(
        self, model: Vocalist, teacher: Vocalist, distillation: nn.Module, align: float = 0.0
    ) -> None:
        super().__init__()
        if (ours := model.spec.window_frames) != (theirs := teacher.spec.window_frames):
            raise ValueError(
                f"teacher must look at windows of {ours} frames, as the student, got {theirs}"
            )
        self.model, self.teaching = model, distillation
        self.teacher, self.alignment = FrozenTeacher(teacher), EncoderAlignmentLoss(align)

    def forward(self, frames: Tensor, wav: Tensor, in_sync: Tensor) -> Tensor:
        """Map a batch of `pair_batches` to the loss, as in `VocalistStep`."""
        mel = window_mel(self.model, wav)
        student = capture_activations(self.model, frames, mel)
        with torch.no_grad():
            teacher = capture_activations(self.teacher.on(frames.device), frames, mel)
        total = self.teaching(student, teacher, in_sync)
        labels = F.binary_cross_entropy_with_logits(student.scores.detach(), in_sync)
        loss = labels + (total - total.detach())
        aligned: Tensor = self.alignment(loss, student.video, student.audio, in_sync)
        return aligned


class EncoderAlignmentLoss(nn.Module):
    """InfoNCE over the batch on the mean tokens of two encoders, in both directions.

    A transformer that compares tokens has nothing to compare until the encoders represent when
    something happens, and they get no gradient before it compares: the loss of a fresh VocaLiST may
    stay at ln 2 for days. Cosines need no learning of their own.

    Args:
        weight: weight of the loss; 0 turns it off.
        temperature: divides the cosines.
    """

    def __init__(self, weight: float, temperature: float = 0.07) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"align must be 0 or more, got {weight}")
        self.weight = weight
        self.criterion = InfoNceLoss(temperature)

    def forward(self, loss: Tensor, video: Tensor, audio: Tensor, in_sync: Tensor) -> Tensor:
        """Add the gradient of the alignment to a loss, whose value does not change.

        Args:
            loss: a scalar.
            video: tokens of windows of frames `(B / K, T, D)`.
            audio: tokens of audio `(B, S, D)`, K consecutive ones for each window.
            in_sync: labels `(B,)`.

        Returns:
            A scalar.
        """
        positives = in_sync.nonzero()[:, 0]
        if not self.weight or not len(positives):
            return loss
        window = positives // (len(audio) // len(video))
        video, audio = F.normalize(video.mean(1), dim=-1), F.normalize(audio.mean(1), dim=-1)
        cosines = video[window] @ audio.mT
        video_to_audio = self.criterion(cosines, positives)
        indices = torch.arange(len(positives), device=positives.device)
        audio_to_video = self.criterion(cosines[:, positives].mT, indices)
        aligned = self.weight * (video_to_audio + audio_to_video)
        return loss + (aligned - aligned.detach())


def window_mel(model: Vocalist, wav: Tensor) -> Tensor:
    """Return the mel of windows as in the public training: that of their audio, less a column."""
    return model.front_end(wav)[..., :-1]
