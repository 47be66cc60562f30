import math

import pytest
import torch

from avsync.losses.info_nce import InfoNceLoss

pytestmark = pytest.mark.arithmetic


def test_equal_scores_cost_the_logarithm_of_k():
    loss = InfoNceLoss()(torch.full((3, 7), 2.5), torch.tensor([0, 3, 6]))
    torch.testing.assert_close(loss, torch.tensor(math.log(7)))


def test_scores_worked_out_by_hand():
    scores = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    for index, own in enumerate((1.0, 0.0, -1.0)):
        for temperature in (1.0, 0.5):
            total = sum(math.exp(s / temperature) for s in (1.0, 0.0, -1.0))
            expected = -math.log(math.exp(own / temperature) / total)
            loss = InfoNceLoss(temperature)(scores, torch.tensor([index]))
            assert loss.item() == pytest.approx(expected)


def test_an_excluded_candidate_costs_nothing():
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    extended = torch.cat([scores, torch.full((2, 3), -torch.inf)], dim=1)
    in_sync = torch.tensor([1, 4])
    torch.testing.assert_close(InfoNceLoss()(extended, in_sync), InfoNceLoss()(scores, in_sync))


def test_invalid_shapes_and_temperatures_are_named():
    with pytest.raises(ValueError, match=r"\(B, K\) and \(B,\), got \(2, 5\) and \(3,\)"):
        InfoNceLoss()(torch.ones(2, 5), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        InfoNceLoss(0)
