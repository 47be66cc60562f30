import math

import pytest
import torch
import torch.nn.functional as F

from avsync.losses.distillation.score_distillation import ScoreDistillationLoss

pytestmark = pytest.mark.arithmetic

B, T, K = 2, 3, 7


@pytest.fixture
def scores():
    g = torch.Generator().manual_seed(0)
    return torch.randn(3, B, T, K, generator=g, dtype=torch.float64)


def test_a_row_worked_out_by_hand():
    teacher = torch.tensor([[[math.log(3.0), 0.0]]], dtype=torch.float64)
    student = torch.zeros_like(teacher[0])
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert ScoreDistillationLoss()(student, teacher).item() == pytest.approx(divergence)
    hot = ScoreDistillationLoss(2.0)(2 * student, 2 * teacher)
    assert hot.item() == pytest.approx(4 * divergence)


def test_it_equals_torchs_divergence_over_rows(scores):
    student, teacher = scores[0], scores[1]
    expected = F.kl_div(
        student.log_softmax(-1).flatten(0, 1),
        teacher.softmax(-1).flatten(0, 1),
        reduction="batchmean",
    )
    torch.testing.assert_close(ScoreDistillationLoss()(student, teacher[None]), expected)


def test_disagreeing_teachers_teach_uncertainty():
    confident = torch.tensor([[9.0, 0.0, -9.0]])
    loss = ScoreDistillationLoss()
    disagreeing = torch.stack([confident, confident.flip(-1)])
    uncertain = torch.tensor([[4.0, -4.0, 4.0]])
    assert loss(uncertain, disagreeing) < 0.01 < 1 < loss(confident, disagreeing)
    assert loss(confident, torch.stack([confident, confident])).abs() < 1e-6


def test_invalid_shapes_and_temperatures_are_named(scores):
    with pytest.raises(ValueError, match=r"got \(2, 3, 7\) for student \(2, 3, 7\)"):
        ScoreDistillationLoss()(scores[0], scores[1])
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        ScoreDistillationLoss(0)
