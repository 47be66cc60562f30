import math

import pytest
import torch
import torch.nn.functional as F
from golden.float64 import FLOAT64_ONLY, float64_throughout

from avsync.losses.distillation.attention_relation import AttentionRelationLoss, value_relations

pytestmark = pytest.mark.arithmetic

B, HEADS, L, K = 2, 3, 5, 4


@pytest.fixture
def relations():
    g = torch.Generator().manual_seed(0)
    return torch.randn(2, B, HEADS, L, K, generator=g, dtype=torch.float64)


def test_a_row_worked_out_by_hand():
    teacher = torch.tensor([[math.log(3.0), 0.0]])  # 3/4 and 1/4
    student = torch.tensor([[0.0, 0.0]])
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    # The mean is over two elements, not over one row. Exp, sum, division and logarithm are off by
    # 2^-24 each in float32, of terms whose weights add up to 1.
    loss = AttentionRelationLoss()(student, teacher)
    assert loss.item() == pytest.approx(divergence / 2, abs=2**-23, rel=0)
    hot = AttentionRelationLoss(temperature=2)(2 * student, 2 * teacher)
    assert hot.item() == pytest.approx(4 * divergence / 2, abs=4 * 2**-23, rel=0)


def test_it_equals_torchs_divergence(relations):
    student, teacher = relations
    divergence = F.kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction="none")
    # Ours computes the softmax in float32, which another test is about.
    with float64_throughout():
        loss = AttentionRelationLoss()(student, teacher)
    torch.testing.assert_close(loss, divergence.mean(), atol=FLOAT64_ONLY, rtol=0)


def test_the_softmax_is_float32_whatever_the_dtype(relations):
    student, teacher = relations.float().double()
    loss = AttentionRelationLoss()
    # A quarter of a float32 step is rounded away.
    assert torch.equal(loss(student * (1 + 2**-26), teacher), loss(student, teacher))


def test_the_divergence_is_from_the_teachers_distribution():
    flat, peaked = torch.zeros(1, 2), torch.tensor([[4.0, 0.0]])
    loss = AttentionRelationLoss()
    assert loss(peaked, flat) > 2 * loss(flat, peaked)


def test_a_student_equal_to_its_teacher_costs_nothing(relations):
    student, teacher = relations
    loss = AttentionRelationLoss()
    assert loss(teacher + 3, teacher).abs() < 1e-7
    assert loss(student, teacher) > 0.05


def test_keys_masked_by_both_cost_nothing_and_keep_gradients_finite(relations):
    student, teacher = relations
    unmasked = AttentionRelationLoss()(student[..., :3], teacher[..., :3])
    student, teacher = student.clone(), teacher.clone()
    student[..., 3], teacher[..., 3] = -torch.inf, -torch.inf
    student.requires_grad_()
    loss = AttentionRelationLoss()(student, teacher)
    loss.backward()
    torch.testing.assert_close(loss, unmasked * 3 / 4)
    assert student.grad.isfinite().all()


def test_the_floor_makes_masked_and_negative_logits_equal():
    teacher = torch.tensor([[1.0, -3.0, -torch.inf]])
    floored = torch.tensor([[1.0, 1e-5, 1e-5]])
    loss = AttentionRelationLoss(floor=1e-5)
    student = torch.tensor([[0.5, 2.0, 0.1]])
    torch.testing.assert_close(loss(student, teacher), loss(student, floored))
    assert loss(floored, teacher) == 0


def test_value_relations_are_products_over_the_root_of_the_width():
    values = torch.tensor([[[1.0, 2.0, 0.0, 2.0], [0.0, 1.0, 1.0, 0.0]]])
    expected = torch.tensor([[[9.0, 2.0], [2.0, 2.0]]]) / 2
    torch.testing.assert_close(value_relations(values), expected)


def test_invalid_shapes_and_temperatures_are_named(relations):
    with pytest.raises(ValueError, match=r"one shape .* got \(2, 3, 5, 4\) and \(2, 3, 5, 3\)"):
        AttentionRelationLoss()(relations[0], relations[1, ..., :3])
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        AttentionRelationLoss(0)
