import math

import pytest
import torch

from avsync.losses.info_nce import InfoNceLoss


def test_equal_scores_cost_the_logarithm_of_the_candidates():
    loss = InfoNceLoss()(torch.full((3, 7), 2.5), torch.tensor([0, 3, 6]))
    torch.testing.assert_close(loss, torch.tensor(math.log(7)))


def test_scores_worked_out_by_hand():
    scores = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    for place, own in enumerate((1.0, 0.0, -1.0)):
        for temperature in (1.0, 0.5):
            every = sum(math.exp(s / temperature) for s in (1.0, 0.0, -1.0))
            expected = -math.log(math.exp(own / temperature) / every)
            loss = InfoNceLoss(temperature)(scores, torch.tensor([place]))
            assert loss.item() == pytest.approx(expected)


def test_a_candidate_that_is_not_counted_costs_nothing():
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    barred = torch.cat([scores, torch.full((2, 3), -torch.inf)], dim=1)
    places = torch.tensor([1, 4])
    torch.testing.assert_close(InfoNceLoss()(barred, places), InfoNceLoss()(scores, places))


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"\(B, K\) and \(B,\), got \(2, 5\) and \(3,\)"):
        InfoNceLoss()(torch.ones(2, 5), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        InfoNceLoss(0)
