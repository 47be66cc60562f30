"""Hints: from the student's features a linear layer tells the teacher's.

Romero et al., FitNets: Hints for Thin Deep Nets (ICLR 2015), equation 3, with a linear regressor.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class FitNetsHintLoss(nn.Module):
    """Mean of the squared differences `(teacher - W student - b)^2`.

    The regressor belongs to the loss and is thrown away with it; its parameters belong into the
    optimiser. It widens the student's features: narrowing the teacher's instead could make both
    nothing.

    Args:
        student_dim: width of the student's features.
        teacher_dim: width of the teacher's.
    """

    def __init__(self, student_dim: int = 200, teacher_dim: int = 512) -> None:
        super().__init__()
        self.regressor = nn.Linear(student_dim, teacher_dim)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Maps features `(..., D student)` and `(..., D teacher)` to a scalar."""
        narrow, wide = self.regressor.in_features, self.regressor.out_features
        fits = student.shape[-1] == narrow and teacher.shape[-1] == wide
        if not fits or student.shape[:-1] != teacher.shape[:-1]:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(
                f"student and teacher must be (..., {narrow}) and (..., {wide}), got {shapes}"
            )
        return F.mse_loss(self.regressor(student), teacher)
