import math

import pytest
import torch

from avsync.losses.distillation.uncertainty_weighting import UncertaintyWeighting

pytestmark = pytest.mark.arithmetic


def test_initial_weights_are_one_half_plus_ln_2_each():
    losses = torch.tensor([0.7, 2.0, 0.1])
    total = UncertaintyWeighting(3)(losses)
    assert total.item() == pytest.approx(0.5 * 2.8 + 3 * math.log(2))


def test_trained_weights_satisfy_the_optimality_condition():
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


def test_a_wrong_number_of_losses_is_named():
    with pytest.raises(ValueError, match=r"losses must be \(3,\), got \(2,\)"):
        UncertaintyWeighting(3)(torch.ones(2))
    with pytest.raises(ValueError, match="count must be positive, got 0"):
        UncertaintyWeighting(0)
