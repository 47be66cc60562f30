import math

import pytest
import torch

from avsync.losses.distillation.uncertainty_weighting import UncertaintyWeighting


def test_at_the_start_each_loss_counts_half_and_costs_ln_2():
    losses = torch.tensor([0.7, 2.0, 0.1])
    total = UncertaintyWeighting(3)(losses)
    assert total.item() == pytest.approx(0.5 * 2.8 + 3 * math.log(2))


def test_weights_find_the_uncertainty_that_the_equation_has():
    losses = torch.tensor([1.0, 0.1])
    weighting = UncertaintyWeighting(2)
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    # 2 p^4 = L (1 + p^2); for L = 1 that is p = 1.
    for p, loss in zip(weighting.uncertainty.tolist(), losses.tolist(), strict=True):
        assert 2 * p**4 == pytest.approx(loss * (1 + p**2), rel=1e-3)
    assert weighting.uncertainty[0].item() == pytest.approx(1, abs=1e-3)


def test_another_number_of_losses_is_named():
    with pytest.raises(ValueError, match=r"losses must be \(3,\), got \(2,\)"):
        UncertaintyWeighting(3)(torch.ones(2))
    with pytest.raises(ValueError, match="count must be positive, got 0"):
        UncertaintyWeighting(0)
