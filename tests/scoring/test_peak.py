import numpy as np
import pytest

from avsync.scoring.peak import HOLDS, confidence, find_peak, interval
from avsync.tasks.calibration import Calibration

OFFSETS = np.arange(-2000, 2001, 20.0)


def curve(at_ms, height=8.0, width_ms=50.0, seed=0):
    noise = np.convolve(np.random.default_rng(seed).normal(size=len(OFFSETS) + 4), np.ones(5) / 5)
    ridge = height * np.exp(-0.5 * ((OFFSETS - at_ms) / width_ms) ** 2)
    return ridge + noise[4 : 4 + len(OFFSETS)]


@pytest.mark.parametrize("at_ms", [-480.0, -3.0, 0.0, 47.0, 955.0])
def test_a_peak_is_found_between_the_steps(at_ms):
    exact = 8 * np.exp(-0.5 * ((OFFSETS - at_ms) / 50) ** 2) + 1e-3 * np.cos(OFFSETS)
    assert find_peak(exact, OFFSETS, 1000).offset_ms == pytest.approx(at_ms, abs=1.5)


def test_a_higher_peak_is_surer_and_its_interval_narrower():
    low, high = (find_peak(curve(120, h), OFFSETS, 1000) for h in (3.0, 12.0))
    assert confidence(high, Calibration()) > confidence(low, Calibration())
    assert np.ptp(interval(high, Calibration())) < np.ptp(interval(low, Calibration()))


def test_noise_alone_is_not_believed():
    sure = [
        confidence(find_peak(curve(0, 0.0, seed=s), OFFSETS, 1000), Calibration())
        for s in range(50)
    ]
    assert np.mean(np.array(sure) > 0.5) < 0.05


def test_scale_and_level_of_the_scores_do_not_matter():
    one, other = find_peak(curve(60), OFFSETS, 1000), find_peak(7 * curve(60) - 30, OFFSETS, 1000)
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_peak_outside_the_search_range_is_not_returned():
    peak = find_peak(curve(1500.0), OFFSETS, 1000)
    assert abs(peak.offset_ms) <= 1020
    assert confidence(peak, Calibration()) < 0.5
    assert find_peak(curve(1500.0), OFFSETS, np.inf).offset_ms == pytest.approx(1500, abs=25)


def test_no_evidence_gives_no_peak():
    assert find_peak(np.zeros(len(OFFSETS)), OFFSETS, 1000) is None
    assert find_peak(np.full(len(OFFSETS), np.nan), OFFSETS, 1000) is None


def test_a_broad_hill_is_believed_less_than_a_sharp_peak():
    hill = find_peak(curve(0, 4.0, width_ms=200), OFFSETS, 1000)
    sharp = find_peak(curve(0, 4.0, width_ms=40), OFFSETS, 1000)
    assert hill.prominence < sharp.prominence
    assert confidence(hill, Calibration()) < 0.5 < confidence(sharp, Calibration())


def test_nobody_is_surer_than_the_interval_holds():
    sure = confidence(find_peak(curve(0, 100.0), OFFSETS, 1000), Calibration())
    assert sure == pytest.approx(HOLDS)
    assert sure <= HOLDS
