import pytest
import torch

from avsync.losses.distillation.fitnets_hint import FitNetsHintLoss

pytestmark = pytest.mark.arithmetic


def test_one_item_worked_out_by_hand():
    loss = FitNetsHintLoss(2, 3)
    with torch.no_grad():
        loss.regressor.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
        loss.regressor.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    # The regressor gives 3, 8, 8; the teacher has 3, 6, 9.
    value = loss(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 6.0, 9.0]]))
    assert value.item() == pytest.approx((0 + 4 + 1) / 3)


def test_linearly_dependent_features_can_be_regressed_to_zero_loss():
    torch.manual_seed(0)
    student = torch.randn(32, 4)
    teacher, loss = student @ torch.randn(4, 6) + 1, FitNetsHintLoss(4, 6)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    before = loss(student, teacher).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss(student, teacher).backward()
        optimizer.step()
    assert loss(student, teacher) < 1e-4 < before


def test_invalid_widths_are_named():
    with pytest.raises(ValueError, match=r"\(\.\.\., 4\) and \(\.\.\., 6\), got \(2, 4\) and"):
        FitNetsHintLoss(4, 6)(torch.ones(2, 4), torch.ones(3, 6))
    with pytest.raises(ValueError, match=r"got \(2, 6\) and \(2, 6\)"):
        FitNetsHintLoss(4, 6)(torch.ones(2, 6), torch.ones(2, 6))
