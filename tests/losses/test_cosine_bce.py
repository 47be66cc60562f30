import math

import pytest
import torch
import torch.nn.functional as F

from avsync.losses.cosine_bce import CosineBceLoss

pytestmark = pytest.mark.arithmetic


def test_two_pairs_worked_out_by_hand():
    loss = CosineBceLoss()(torch.tensor([0.8, 0.25]), torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx(-(math.log(0.8) + math.log(0.75)) / 2)


def test_it_equals_torchs_loss_where_that_is_finite():
    g = torch.Generator().manual_seed(0)
    cosine, in_sync = torch.rand(64, generator=g), torch.randint(2, (64,), generator=g).float()
    torch.testing.assert_close(
        CosineBceLoss()(cosine, in_sync), F.binary_cross_entropy(cosine, in_sync)
    )


def test_a_cosine_of_one_half_costs_the_chance_level():
    loss = CosineBceLoss()
    half = loss(torch.full((4,), 0.5), torch.tensor([1.0, 0, 1, 0]))
    torch.testing.assert_close(half, torch.tensor(loss.chance))


def test_an_all_zero_embedding_does_not_dominate_the_batch():
    cosine = torch.tensor([0.0, 0.6], requires_grad=True)
    loss = CosineBceLoss()(cosine, torch.tensor([1.0, 1.0]))
    loss.backward()
    assert loss.isfinite()
    assert cosine.grad.tolist() == pytest.approx([0.0, -1 / (2 * 0.6)])


def test_a_cosine_above_one_by_rounding_counts_as_one():
    loss = CosineBceLoss(floor=1e-3)(torch.tensor([1.0000002]), torch.tensor([1.0]))
    assert loss.item() == pytest.approx(1e-3, rel=1e-3)


def test_autocast_does_not_reduce_its_precision():
    cosine, in_sync = torch.tensor([0.9993, 0.9995]), torch.tensor([0.0, 0.0])
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(
            CosineBceLoss()(cosine, in_sync), F.binary_cross_entropy(cosine, in_sync)
        )


def test_invalid_shapes_and_floors_are_named():
    with pytest.raises(ValueError, match=r"shape of cosine \(2,\), got \(2, 1\)"):
        CosineBceLoss()(torch.ones(2), torch.ones(2, 1))
    with pytest.raises(ValueError, match=r"floor must be between 0 and 0.5, got 0.5"):
        CosineBceLoss(0.5)
