import math

import pytest
import torch

from avsync.losses.bounded_mask import BoundedMaskLoss

pytestmark = pytest.mark.arithmetic


@pytest.fixture
def spectra():
    g = torch.Generator().manual_seed(0)
    target, rest = torch.randn(2, 2, 5, 4, dtype=torch.complex64, generator=g)
    return target, target + rest


def test_the_right_mask_costs_nothing(spectra):
    target, mixture = spectra
    ratio = target / mixture
    logits = torch.stack([ratio.real, ratio.imag], dim=1)
    assert BoundedMaskLoss()(logits, target, mixture) < 1e-8


def test_one_bin_by_hand():
    # A mixture of 2 i, half of it the target: the mask is 0.5, and the weight log(1 + |2 i| / 2).
    mixture = torch.full((1, 1, 1), 2j)
    logits = torch.tensor([0.0, 0.25]).view(1, 2, 1, 1)
    loss = BoundedMaskLoss(sources=2)(logits, mixture / 2, mixture)
    squares = (10 * math.tanh(0.5)) ** 2 + (10 * math.tanh(0.25)) ** 2
    assert loss.item() == pytest.approx(math.log(2) * squares / 2, rel=1e-6)


def test_the_number_of_sources_changes_the_weights_but_not_the_mask(spectra):
    two, three = BoundedMaskLoss(2), BoundedMaskLoss(3)
    torch.testing.assert_close(two.target_mask(*spectra), three.target_mask(*spectra))
    assert two(torch.zeros(2, 2, 5, 4), *spectra) > three(torch.zeros(2, 2, 5, 4), *spectra)


def test_silence_has_a_zero_mask_and_the_least_weight():
    silence = torch.zeros(1, 3, 2, dtype=torch.complex64)
    loss = BoundedMaskLoss()(torch.full((1, 2, 3, 2), 9.0), silence, silence)
    assert loss.item() == pytest.approx(1e-3 * 100, rel=1e-3)


def test_a_bin_equal_to_minus_eps_is_finite():
    eps = torch.finfo(torch.float32).eps
    mixture = torch.full((1, 1, 1), complex(-2 * eps))
    loss = BoundedMaskLoss(sources=2)(torch.zeros(1, 2, 1, 1), 1j * mixture, mixture)
    assert loss.isfinite()


def test_logits_beyond_the_bound_cost_no_more(spectra):
    loss = BoundedMaskLoss()
    large, larger = (loss(torch.full((2, 2, 5, 4), x), *spectra) for x in (20.0, 2000.0))
    torch.testing.assert_close(large, larger)


def test_half_precision_logits_are_compared_in_float32(spectra):
    assert BoundedMaskLoss()(torch.zeros(2, 2, 5, 4).bfloat16(), *spectra).dtype == torch.float32


def test_spectra_of_another_shape_are_named(spectra):
    with pytest.raises(ValueError, match=r"got \(2, 2, 5, 3\) for \(2, 5, 4\) and \(2, 5, 4\)"):
        BoundedMaskLoss()(torch.zeros(2, 2, 5, 3), *spectra)


@pytest.mark.parametrize("arguments", [{"sources": 0}, {"bound": 0.0}])
def test_invalid_arguments_are_rejected(arguments):
    with pytest.raises(ValueError, match="sources must be at least 1 and bound positive"):
        BoundedMaskLoss(**arguments)
