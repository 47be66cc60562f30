import numpy as np
import pytest
import torch

from avsync.scoring.engine import window_evidence
from avsync.scoring.offset_error import interval
from avsync.scoring.peak import (
    INTERVAL_COVERAGE,
    confidence,
    find_peak,
    is_out_of_range,
)
from avsync.scoring.score_sums import EvidenceCurve
from avsync.tasks.calibration import Calibration

OFFSETS = np.arange(-2000, 2001, 20.0)
WIDE_OFFSETS = np.arange(-5000, 5001, 20.0)


def curve(at_ms, height=8.0, width_ms=50.0, seed=0):
    noise = np.convolve(np.random.default_rng(seed).normal(size=len(OFFSETS) + 4), np.ones(5) / 5)
    ridge = height * np.exp(-0.5 * ((OFFSETS - at_ms) / width_ms) ** 2)
    return ridge + noise[4 : 4 + len(OFFSETS)]


@pytest.mark.parametrize("at_ms", [-480.0, -3.0, 0.0, 47.0, 955.0])
def test_a_peak_is_found_between_the_steps(at_ms):
    exact = 8 * np.exp(-0.5 * ((OFFSETS - at_ms) / 50) ** 2) + 1e-3 * np.cos(OFFSETS)
    assert find_peak(EvidenceCurve(exact, OFFSETS), 1000).offset_ms == pytest.approx(at_ms, abs=1.5)


def test_a_higher_peak_has_more_confidence_and_a_narrower_interval():
    low, high = (find_peak(EvidenceCurve(curve(120, h), OFFSETS), 1000) for h in (3.0, 12.0))
    assert confidence(high, Calibration()) > confidence(low, Calibration())
    assert np.ptp(interval(high, Calibration())) < np.ptp(interval(low, Calibration()))


def test_noise_alone_has_low_confidence():
    sure = [
        confidence(find_peak(EvidenceCurve(curve(0, 0.0, seed=s), OFFSETS), 1000), Calibration())
        for s in range(50)
    ]
    assert np.mean(np.array(sure) > 0.5) < 0.05


def test_scale_and_level_of_the_scores_do_not_matter():
    one, other = (
        find_peak(EvidenceCurve(curve(60), OFFSETS), 1000),
        find_peak(EvidenceCurve(7 * curve(60) - 30, OFFSETS), 1000),
    )
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_peak_outside_the_search_range_is_not_returned():
    peak = find_peak(EvidenceCurve(curve(1500.0), OFFSETS), 1000)
    assert abs(peak.offset_ms) <= 1020
    assert confidence(peak, Calibration()) < 0.5
    assert find_peak(EvidenceCurve(curve(1500.0), OFFSETS), np.inf).offset_ms == pytest.approx(
        1500, abs=25
    )


def test_no_evidence_gives_no_peak():
    assert find_peak(EvidenceCurve(np.zeros(len(OFFSETS)), OFFSETS), 1000) is None
    assert find_peak(EvidenceCurve(np.full(len(OFFSETS), np.nan), OFFSETS), 1000) is None


def test_a_broad_hill_has_less_confidence_than_a_sharp_peak():
    hill = find_peak(EvidenceCurve(curve(0, 4.0, width_ms=200), OFFSETS), 1000)
    sharp = find_peak(EvidenceCurve(curve(0, 4.0, width_ms=40), OFFSETS), 1000)
    assert hill.prominence < sharp.prominence
    assert confidence(hill, Calibration()) < 0.5 < confidence(sharp, Calibration())


def test_confidence_is_at_most_the_interval_coverage():
    sure = confidence(find_peak(EvidenceCurve(curve(0, 100.0), OFFSETS), 1000), Calibration())
    assert sure == pytest.approx(INTERVAL_COVERAGE)
    assert sure <= INTERVAL_COVERAGE


def wide_curve(at_ms, height, hills=0.0):
    """Return a sharp peak, noise, and broad hills every two seconds, like those of sentences."""
    noise = np.random.default_rng(0).normal(size=len(WIDE_OFFSETS))
    peak = height * np.exp(-0.5 * ((WIDE_OFFSETS - at_ms) / 40) ** 2)
    return EvidenceCurve(
        peak + noise + hills * np.cos(2 * np.pi * WIDE_OFFSETS / 2000), WIDE_OFFSETS
    )


@pytest.mark.parametrize("at_ms", [-4200.0, -1100.0, 2000.0, 3600.0])
@pytest.mark.parametrize("hills", [0.0, 4.0])
def test_a_peak_beyond_the_search_range_is_out_of_range(at_ms, hills):
    assert is_out_of_range(wide_curve(at_ms, 15.0, hills), 1000)


@pytest.mark.parametrize("at_ms", [-900.0, 0.0, 480.0])
def test_a_peak_within_the_search_range_is_not(at_ms):
    assert not is_out_of_range(wide_curve(at_ms, 15.0), 1000)


def test_noise_and_broad_hills_are_not_out_of_range():
    assert not is_out_of_range(wide_curve(3000.0, 0.0), 1000)
    assert not is_out_of_range(wide_curve(3000.0, 0.0, hills=20.0), 1000)


def test_a_peak_outside_beside_one_inside_that_is_nearly_as_high_is_not():
    both = EvidenceCurve(
        wide_curve(3000.0, 15.0).evidence + wide_curve(200.0, 14.0).evidence, WIDE_OFFSETS
    )
    assert not is_out_of_range(both, 1000)


def test_no_evidence_is_not_out_of_range():
    assert not is_out_of_range(EvidenceCurve(np.zeros(len(WIDE_OFFSETS)), WIDE_OFFSETS), 1000)
    few = np.abs(WIDE_OFFSETS) <= 300
    assert not is_out_of_range(
        EvidenceCurve(wide_curve(200.0, 15.0).evidence[few], WIDE_OFFSETS[few]), 100
    )


def test_the_likelihood_is_that_of_the_windows_against_chance():
    # Windows that are sure and agree, and windows as sure of which each points elsewhere.
    generator = torch.Generator().manual_seed(0)
    offsets = np.arange(-2000, 2001, 20.0)
    known = torch.ones(50, len(offsets), dtype=torch.bool)
    agree = torch.randn(50, len(offsets), generator=generator)
    astray = agree.clone()
    agree[:, 100] += 8
    elsewhere = torch.randint(0, len(offsets), (50,), generator=generator)
    astray[torch.arange(50), elsewhere] += 8
    astray[:, 100] += 2
    found = []
    for scores in (agree, astray):
        evidence, normalisers = window_evidence(scores, known, known[0])
        curve = EvidenceCurve(
            evidence.sum(0).numpy(), offsets, None, float(normalisers.sum()), len(scores)
        )
        posterior = torch.log_softmax(scores, 1) + np.log(len(offsets))
        peak = find_peak(curve, 1000)
        assert peak.offset_ms == pytest.approx(0, abs=5)
        assert peak.likelihood == pytest.approx(float(posterior[:, 100].mean()), abs=1e-4)
        found.append(peak)
    assert found[0].likelihood > 4 and found[1].likelihood < 0
    sure = Calibration(bias=-3.0, z_score=0.0, prominence=0.0, likelihood=1.0)
    taller = [peak._replace(z_score=5.0) for peak in found]
    assert confidence(taller[0], sure) > 0.7 and confidence(taller[1], sure) < 0.05


def test_without_normalisers_there_is_no_likelihood():
    assert find_peak(EvidenceCurve(curve(0), OFFSETS), 1000).likelihood == 0.0
