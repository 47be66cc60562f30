import pytest
import torch

from avsync.losses.margin_contrastive import MarginContrastiveLoss

pytestmark = pytest.mark.arithmetic


def test_three_pairs_worked_out_by_hand():
    distance, in_sync = torch.tensor([3.0, 1.5, 7.0]), torch.tensor([1.0, 0.0, 0.0])
    # 3^2 in sync, (2 - 1.5)^2 out of sync, and the last one is beyond the margin of 2.
    expected = (9 + 0.25 + 0) / (2 * 3)
    torch.testing.assert_close(
        MarginContrastiveLoss(2.0)(distance, in_sync), torch.tensor(expected)
    )


def test_only_misplaced_pairs_get_a_gradient():
    distance = torch.tensor([0.0, 1.0, 0.5, 1.2], requires_grad=True)
    MarginContrastiveLoss()(distance, torch.tensor([1.0, 1.0, 0.0, 0.0])).backward()
    # In sync: d; out of sync: d - margin, or 0 beyond it; each over the number of pairs.
    torch.testing.assert_close(distance.grad, torch.tensor([0.0, 1.0, -0.5, 0.0]) / 4)


def test_no_constant_distance_costs_less_than_chance():
    loss, in_sync = MarginContrastiveLoss(3.0), torch.tensor([1.0, 0.0])
    costs = [loss(torch.full((2,), d), in_sync).item() for d in torch.linspace(0, 5, 51).tolist()]
    assert min(costs) == pytest.approx(loss.chance)
    assert costs.index(min(costs)) == 15


def test_invalid_labels_and_margins_are_named():
    with pytest.raises(ValueError, match=r"shape of distance \(2,\), got \(3,\)"):
        MarginContrastiveLoss()(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match=r"in_sync must be floats .* of torch.int64"):
        MarginContrastiveLoss()(torch.ones(2), torch.ones(2, dtype=torch.long))
    with pytest.raises(ValueError, match="margin must be positive, got 0"):
        MarginContrastiveLoss(0)
