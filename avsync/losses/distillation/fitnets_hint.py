"""FitNets hint loss: regress the teacher's features from the student's with a linear layer.

Source: Romero et al., FitNets: Hints for Thin Deep Nets (ICLR 2015), equation 3, with a linear
regressor.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class FitNetsHintLoss(nn.Module):
    """Mean squared error `(teacher - W student - b)^2` with a learned regressor W, b.

    The regressor is part of the loss and is discarded with it; its parameters must be given to the
    optimiser. It projects the student's features to the teacher's width: projecting the teacher's
    instead could collapse both to zero.

    Args:
        student_dim: width of the student's features.
        teacher_dim: width of the teacher's.
    """

    def __init__(self, student_dim: int = 200, teacher_dim: int = 512) -> None:
        super().__init__()
        self.regressor = nn.Linear(student_dim, teacher_dim)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the mean squared error of the regressed features.

        Args:
            student: features `(..., student_dim)`.
            teacher: features `(..., teacher_dim)`.

        Returns:
            A scalar.
        """
        narrow, wide = self.regressor.in_features, self.regressor.out_features
        fits = student.shape[-1] == narrow and teacher.shape[-1] == wide
        if not fits or student.shape[:-1] != teacher.shape[:-1]:
            shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
            raise ValueError(
                f"student and teacher must be (..., {narrow}) and (..., {wide}), got {shapes}"
            )
        return F.mse_loss(self.regressor(student), teacher)
