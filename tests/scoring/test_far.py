import numpy as np
import pytest

from avsync.scoring.peak import lies_beyond
from avsync.scoring.score_sums import Curve

OFFSETS = np.arange(-5000, 5001, 20.0)


def curve(at_ms, height, hills=0.0):
    """A sharp peak, noise, and broad hills every two seconds, as sentences in a row make them."""
    noise = np.random.default_rng(0).normal(size=len(OFFSETS))
    peak = height * np.exp(-0.5 * ((OFFSETS - at_ms) / 40) ** 2)
    return Curve(peak + noise + hills * np.cos(2 * np.pi * OFFSETS / 2000), OFFSETS)


@pytest.mark.parametrize("at_ms", [-4200.0, -1100.0, 2000.0, 3600.0])
@pytest.mark.parametrize("hills", [0.0, 4.0])
def test_a_peak_further_off_than_the_search_lies_beyond(at_ms, hills):
    assert lies_beyond(curve(at_ms, 15.0, hills), 1000)


@pytest.mark.parametrize("at_ms", [-900.0, 0.0, 480.0])
def test_a_peak_within_the_search_does_not(at_ms):
    assert not lies_beyond(curve(at_ms, 15.0), 1000)


def test_noise_and_broad_hills_do_not():
    assert not lies_beyond(curve(3000.0, 0.0), 1000)
    assert not lies_beyond(curve(3000.0, 0.0, hills=20.0), 1000)


def test_a_peak_outside_is_not_believed_beside_one_inside_that_is_nearly_as_high():
    both = Curve(curve(3000.0, 15.0).evidence + curve(200.0, 14.0).evidence, OFFSETS)
    assert not lies_beyond(both, 1000)


def test_no_evidence_lies_nowhere():
    assert not lies_beyond(Curve(np.zeros(len(OFFSETS)), OFFSETS), 1000)
    few = np.abs(OFFSETS) <= 300
    assert not lies_beyond(Curve(curve(200.0, 15.0).evidence[few], OFFSETS[few]), 100)
