import math

import pytest
import torch

from avsync.metrics.separation import si_sdr


@pytest.fixture
def pair():
    draws = torch.Generator().manual_seed(0)
    return torch.randn(3, 500, generator=draws), torch.randn(3, 500, generator=draws)


def test_noise_of_a_tenth_of_the_power_is_ten_db():
    reference = torch.tensor([1.0, 1.0, 1.0, 1.0])
    noise = torch.tensor([1.0, -1.0, 1.0, -1.0]) / math.sqrt(10)
    assert si_sdr(reference, reference + noise).item() == pytest.approx(10, abs=1e-5)


def test_loudness_and_sign_do_not_matter(pair):
    references, estimates = pair
    expected = si_sdr(references, estimates)
    torch.testing.assert_close(si_sdr(3 * references, -0.01 * estimates), expected)


def test_items_do_not_mix(pair):
    together = si_sdr(*pair)
    alone = torch.stack([si_sdr(*each) for each in zip(*pair, strict=True)])
    torch.testing.assert_close(together, alone)


def test_the_same_is_beyond_measure_and_silence_is_no_number(pair):
    references, _ = pair
    assert si_sdr(references, references).min() > 200
    silence = torch.zeros_like(references)
    assert si_sdr(references, silence).isnan().all() and si_sdr(silence, references).isnan().all()


def test_lengths_that_differ_are_named():
    with pytest.raises(ValueError, match=r"got \(2, 5\) and \(2, 6\)"):
        si_sdr(torch.ones(2, 5), torch.ones(2, 6))
