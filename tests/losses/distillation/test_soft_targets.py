import math

import pytest
import torch

from avsync.losses.distillation.soft_targets import SoftTargetLoss

pytestmark = pytest.mark.arithmetic


def test_a_pair_worked_out_by_hand():
    student, teacher = torch.tensor([[0.0], [5 * math.log(3.0)]], dtype=torch.float64)
    # At temperature 5 the teacher gives 3/4, the student 1/2.
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert SoftTargetLoss()(student, teacher).item() == pytest.approx(25 * divergence)


def test_a_student_equal_to_its_teacher_costs_nothing():
    logits = torch.tensor([-200.0, -3.0, 0.0, 7.0, 200.0])
    assert SoftTargetLoss()(logits, logits) == 0


def test_the_gradient_is_the_difference_of_the_probabilities():
    student = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([-4.0, 3.0], dtype=torch.float64)
    SoftTargetLoss(2.0)(student, teacher).backward()
    expected = 2.0 / 2 * (torch.sigmoid(student / 2) - torch.sigmoid(teacher / 2))
    torch.testing.assert_close(student.grad, expected.detach())


def test_invalid_shapes_and_temperatures_are_named():
    with pytest.raises(ValueError, match=r"one shape \(B,\), got \(2,\) and \(3,\)"):
        SoftTargetLoss()(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        SoftTargetLoss(0)
