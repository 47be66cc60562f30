"""The standard error against draws of evidence whose noise is known."""

import numpy as np
import pytest
from scipy import stats

from avsync.scoring.offset_error import EXPECTED_BLOCKS, StandardError, interval, standard_error
from avsync.scoring.peak import INTERVAL_COVERAGE, Peak, find_peak
from avsync.scoring.score_sums import EvidenceCurve, sum_bins, sum_curves
from avsync.tasks.calibration import Calibration

OFFSETS = np.arange(-1000, 1001, 20.0)
WIDTH_MS, NOISE, TRUTH_MS = 60.0, 0.25, 87.0
# Half of a normal distribution's central `INTERVAL_COVERAGE` in standard deviations.
NORMAL = 1.645


def draw_blocks(count, rng, jitter_ms=0.0):
    """Return evidence `(N, K)`: a ridge, whose place varies from block to block, in noise."""
    at_ms = TRUTH_MS + jitter_ms * rng.normal(size=(count, 1))
    ridge = np.exp(-0.5 * ((OFFSETS - at_ms) / WIDTH_MS) ** 2)
    noise = rng.normal(size=(count, len(OFFSETS) + 4))
    noise = np.stack([np.convolve(row, np.ones(5) / 5**0.5, "valid") for row in noise])
    return ridge + NOISE * noise


def measure(blocks):
    peak = find_peak(EvidenceCurve(blocks.sum(0), OFFSETS), 1000)
    return peak, standard_error(blocks, OFFSETS, peak)


def errors_and_estimates(count, draws=300, **options):
    rng = np.random.default_rng(0)
    found = [measure(draw_blocks(count, rng, **options)) for _ in range(draws)]
    errors = np.array([peak.offset_ms - TRUTH_MS for peak, _ in found])
    return errors, np.array([error.ms for _, error in found])


@pytest.mark.parametrize("count", [20, 80])
def test_the_standard_error_is_the_spread_of_the_offsets_over_many_draws(count):
    errors, estimates = errors_and_estimates(count)
    assert np.sqrt((estimates**2).mean()) == pytest.approx(errors.std(), rel=0.15)


def test_it_falls_by_the_square_root_of_the_length():
    short, long = (errors_and_estimates(count, 100)[1].mean() for count in (25, 100))
    assert long == pytest.approx(short / 2, rel=0.1)


def test_blocks_at_offsets_of_their_own_widen_it():
    errors, estimates = errors_and_estimates(40, jitter_ms=30.0)
    steady = errors_and_estimates(40)[1].mean()
    assert estimates.mean() > 1.2 * steady
    assert np.sqrt((estimates**2).mean()) == pytest.approx(errors.std(), rel=0.15)


@pytest.mark.parametrize("count", [20, 60])
def test_nine_of_ten_intervals_hold_the_truth(count):
    rng = np.random.default_rng(1)
    scale = stats.t.ppf(0.5 + INTERVAL_COVERAGE / 2, count - 1)
    # Without an expected error the measured one counts only by its share.
    scale *= np.sqrt(1 + EXPECTED_BLOCKS / count)
    calibration = Calibration(floor_ms=0.0, blur_ms=0.0, error_scale=scale)
    covered = []
    for _ in range(400):
        peak, error = measure(draw_blocks(count, rng))
        low, high = interval(peak, calibration, error)
        covered.append(low <= TRUTH_MS <= high)
    assert np.mean(covered) == pytest.approx(INTERVAL_COVERAGE, abs=0.04)


def test_dependent_bins_need_blocks():
    """Bins that err together in threes: alone they promise too much, as blocks they do not."""
    rng = np.random.default_rng(2)
    errors, by_bin, by_block = [], [], []
    for _ in range(200):
        bins = np.repeat(draw_blocks(20, rng, jitter_ms=10.0), 3, axis=0)
        peak, error = measure(bins)
        errors.append(peak.offset_ms - TRUTH_MS)
        by_bin.append(error.ms)
        by_block.append(standard_error(sum_bins(bins, np.arange(60)), OFFSETS, peak).ms)
    assert np.mean(by_bin) < 0.7 * np.std(errors)
    assert np.mean(by_block) == pytest.approx(np.std(errors), rel=0.15)


def test_few_blocks_count_little_against_the_height_of_the_peak():
    peak = Peak(0.0, z_score=10.0, prominence=3.0)
    calibration = Calibration(floor_ms=2.0, blur_ms=200.0, error_scale=2.0)
    lucky = interval(peak, calibration, StandardError(0.5, blocks=2))
    alone = interval(peak, calibration)
    long = interval(peak, calibration, StandardError(2.7, blocks=50))
    assert alone[1] == pytest.approx(np.hypot(2, 20))
    assert 0.75 * alone[1] < lucky[1] < alone[1]
    assert long[1] == pytest.approx(np.sqrt(4 + (50 * 5.4**2 + 4 * 20**2) / 54))


def test_three_blocks_that_err_together_are_honest():
    """They share an error of 10 ms, of which their spread says nothing; the calibration does."""
    rng = np.random.default_rng(3)
    alone, covered = [], []
    for _ in range(300):
        peak, error = measure(draw_blocks(3, rng))
        error_ms = peak.offset_ms + 10 * rng.normal() - TRUTH_MS
        # The offsets of three blocks spread by 12 ms, so 90 % of the errors are below 26 ms.
        calibration = Calibration(floor_ms=2.0, blur_ms=26 * peak.z_score, error_scale=NORMAL)
        low, high = interval(peak, calibration, error)
        covered.append(abs(error_ms) <= (high - low) / 2)
        alone.append(abs(error_ms) <= NORMAL * error.ms)
    assert np.mean(alone) < 0.7
    assert np.mean(covered) >= INTERVAL_COVERAGE - 0.07


def test_scale_and_level_of_the_scores_do_not_matter():
    blocks = draw_blocks(20, np.random.default_rng(0))
    (_, one), (_, other) = measure(blocks), measure(7 * blocks + 3)
    assert one.ms == pytest.approx(other.ms, rel=1e-9)


def test_it_agrees_with_a_jackknife_over_blocks():
    blocks = draw_blocks(30, np.random.default_rng(4))
    _, error = measure(blocks)
    left_out = [
        find_peak(EvidenceCurve(np.delete(blocks, i, 0).sum(0), OFFSETS), 1000).offset_ms
        for i in range(30)
    ]
    jackknife = np.sqrt(29 / 30 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert error.ms == pytest.approx(jackknife, rel=0.15)


def test_one_block_or_a_peak_without_curvature_has_no_standard_error():
    blocks = draw_blocks(20, np.random.default_rng(0))
    peak = find_peak(EvidenceCurve(blocks.sum(0), OFFSETS), 1000)
    assert standard_error(blocks[:1], OFFSETS, peak) is None
    assert standard_error(-blocks, OFFSETS, peak) is None
    assert standard_error(blocks, OFFSETS, peak._replace(offset_ms=1000.0)) is None


def test_blocks_without_evidence_do_not_count():
    blocks = draw_blocks(20, np.random.default_rng(0))
    peak, error = measure(blocks)
    silent = np.concatenate([blocks, np.zeros((30, len(OFFSETS)))])
    assert standard_error(silent, OFFSETS, peak) == error


def test_a_calibration_without_an_error_scale_gives_the_interval_of_earlier_releases():
    peak = Peak(40.0, z_score=8.0, prominence=3.0)
    released = Calibration(-18.315, 1.339, 4.916, floor_ms=19.0, blur_ms=100.0)
    half_ms = np.hypot(19.0, 12.5)
    expected = (40 - half_ms, 40 + half_ms)
    assert interval(peak, released) == pytest.approx(expected)
    assert interval(peak, released, StandardError(1.0, 50)) == pytest.approx(expected)


def test_curves_are_summed_with_the_blocks_of_all():
    one = EvidenceCurve(np.ones(3), np.arange(3.0), np.full((2, 3), 0.5))
    other = EvidenceCurve(np.ones(3), np.arange(3.0), np.full((4, 3), 0.25))
    both = sum_curves([one, other])
    np.testing.assert_array_equal(both.blocks.sum(0), both.evidence)
    assert sum_curves([one, other._replace(blocks=None)]).blocks is None


def test_bins_are_summed_by_their_number_and_not_over_gaps():
    blocks = sum_bins(np.arange(5.0)[:, None], np.array([1, 2, 3, 8, 9]), size=3)
    np.testing.assert_array_equal(blocks[:, 0], [0 + 1, 2, 3, 4])
