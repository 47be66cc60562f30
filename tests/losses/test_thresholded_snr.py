import math

import pytest
import torch

from avsync.losses.thresholded_snr import ThresholdedSnrLoss

pytestmark = pytest.mark.arithmetic

B, V, N = 3, 2, 400


@pytest.fixture
def voices():
    return torch.randn(B, V, N, generator=torch.Generator().manual_seed(0))


def test_a_perfect_estimate_costs_nothing(voices):
    assert ThresholdedSnrLoss()(voices, voices, voices.sum(1)) == 0


def test_a_silent_estimate_costs_best_db(voices):
    # The error is as large as the reference: 0 dB of 30.
    loss = ThresholdedSnrLoss(best_db=30)(torch.zeros_like(voices), voices, voices.sum(1))
    torch.testing.assert_close(loss, torch.tensor(10 * math.log10(1 + 1000)))


def test_an_error_of_a_tenth_is_20_db(voices):
    loss = ThresholdedSnrLoss(best_db=30)(1.1 * voices, voices, voices.sum(1))
    torch.testing.assert_close(loss, torch.tensor(10 * math.log10(1 + 10)), atol=1e-4, rtol=0)


def test_the_scale_of_an_estimate_matters(voices):
    loss = ThresholdedSnrLoss()
    assert loss(0.5 * voices, voices, voices.sum(1)) > loss(0.9 * voices, voices, voices.sum(1))


def test_the_level_of_a_file_does_not_matter(voices):
    estimates, loss = voices.roll(1, 0), ThresholdedSnrLoss()
    quieter = loss(estimates / 1000, voices / 1000, voices.sum(1) / 1000)
    torch.testing.assert_close(quieter, loss(estimates, voices, voices.sum(1)))


def test_a_silent_reference_is_measured_against_the_mixture():
    mixture = torch.ones(1, N)
    silent = torch.zeros(1, 1, N)
    loss = ThresholdedSnrLoss(silent_db=20)
    assert loss(silent, silent, mixture) == 0
    # All of the mixture is 20 dB too much.
    expected = torch.tensor(10 * math.log10(1 + 100))
    torch.testing.assert_close(loss(mixture[:, None], silent, mixture), expected)


def test_digital_silence_has_a_loss_and_a_gradient():
    silent = torch.zeros(1, 1, N)
    estimate = torch.zeros(1, 1, N, requires_grad=True)
    loss = ThresholdedSnrLoss()(estimate, silent, silent[:, 0])
    loss.backward()
    assert loss == 0 and estimate.grad.isfinite().all()


def test_invalid_shapes_and_levels_are_named(voices):
    with pytest.raises(ValueError, match=r"got \(3, 2, 400\), \(3, 2, 400\), \(3, 2, 400\)"):
        ThresholdedSnrLoss()(voices, voices, voices)
    with pytest.raises(ValueError, match="must be positive, got 0"):
        ThresholdedSnrLoss(best_db=0)
