"""Segments of a file whose audio fits beyond the search range, and coverage of an answer."""

from dataclasses import replace

import numpy as np
import pytest

from avsync.scoring.result import Fault, OffsetSegment
from avsync.scoring.score_sums import EvidenceCurve, TrackScores
from avsync.scoring.trajectory.distant_jumps import (
    add_distant_segments,
    find_distant_runs,
    find_local_offsets,
    leave_out,
    measure_coverage,
)
from avsync.scoring.trajectory.fault import constant_fault, find_fault
from avsync.tasks.calibration import Calibration
from avsync.timing import tolerance

WIDE_MS = np.arange(-5000, 5001, 20.0)
LIMITS = tolerance("ebu")
CALIBRATION = Calibration(-18.3, 1.34, 4.92, 19.0, 100.0)  # As released.


def track(path, length_s=40.0, seed=0, silent=()):
    """Return scores whose evidence is a ridge along `path` (seconds to ms), none while `silent`."""
    rng = np.random.default_rng(seed)
    bins = np.arange(round(length_s / 0.4))
    t_s = (bins + 0.5) * 0.4 + 0.1
    spoken = np.ones(len(bins), bool)
    for start_s, end_s in silent:
        spoken &= (t_s < start_s) | (t_s >= end_s)
    ridge = np.exp(-0.5 * ((WIDE_MS - path(t_s)[:, None]) / 45) ** 2)
    noise = rng.normal(size=(len(bins), len(WIDE_MS) + 4))
    noise = np.stack([np.convolve(row, np.ones(5) / 5**0.5, "valid") for row in noise])
    wide = (60 * spoken[:, None] * ridge + 12 * noise).astype(np.float32)
    near = np.abs(WIDE_MS) <= 2000
    return TrackScores(
        first_tick=0,
        last_tick=round(25 * length_s),
        offsets_ms=WIDE_MS[near],
        bins=bins,
        evidence=wide[:, near],
        windows=np.full(len(bins), 10),
        motion=np.full(len(bins), 0.1),
        wide_curve=EvidenceCurve(wide.sum(0), WIDE_MS),
        wide=wide,
    )


def at(*steps):
    """Return the offset over time of `(start_s, offset_ms)` steps."""
    starts_s, levels_ms = np.array(steps).T
    return lambda t_s: levels_ms[np.searchsorted(starts_s, t_s, side="right") - 1]


def extended(scores, length_s=40.0, offset_ms=0.0):
    local = find_local_offsets([scores], CALIBRATION)
    near = constant_fault(offset_ms, length_s, LIMITS)
    runs = find_distant_runs(near, local, 1.0)
    fault = add_distant_segments(near, runs, local, LIMITS) if runs else near
    return fault, measure_coverage(fault, local, length_s)


@pytest.mark.parametrize("far_ms", [-2000.0, -3400.0, 1500.0, 4500.0])
def test_audio_that_is_seconds_off_from_a_moment_on_is_a_jump(far_ms):
    fault, coverage = extended(track(at((0, 0), (16, far_ms))))
    assert fault.kind == "jumps"
    before, after = fault.pieces
    assert before.end_s == after.start_s == pytest.approx(16, abs=0.8)
    assert after.offset_ms == pytest.approx(far_ms, abs=15)
    assert after.end_s == 40.0
    assert fault.out_s == pytest.approx(24, abs=1)
    assert coverage.supports_s > 35 and coverage.against_s < 1


def test_a_far_segment_in_the_middle_leaves_what_lies_around_it():
    fault, _ = extended(track(at((0, 0), (12, 2600), (26, 0))))
    assert [round(s.offset_ms, -2) for s in fault.pieces] == [0, 2600, 0]
    assert fault.pieces[1].start_s == pytest.approx(12, abs=0.8)
    assert fault.pieces[1].end_s == pytest.approx(26, abs=0.8)
    assert fault.kind == "intermittent"


def test_a_far_beginning_is_found_too():
    fault, _ = extended(track(at((0, -2400), (14, 0))))
    assert [round(s.offset_ms, -2) for s in fault.pieces] == [-2400, 0]
    assert fault.pieces[0].start_s == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_a_part_that_fits_nowhere_is_no_jump_and_supports_nothing(seed):
    scores = track(at((0, 0)), seed=seed, silent=[(15, 30)])
    fault, coverage = extended(scores)
    assert fault.kind == "none" and len(fault.pieces) == 1
    assert coverage.supports_s == pytest.approx(25, abs=5)
    assert coverage.against_s < 2
    assert sum(coverage) == pytest.approx(40)


def test_a_part_shorter_than_five_seconds_is_no_jump():
    fault, _ = extended(track(at((0, 0), (20, 2500), (21.2, 0))))
    assert fault.kind == "none"


def test_offsets_elsewhere_in_the_search_range_speak_against_the_answer():
    scores = track(at((0, 0), (30, 400)))
    local = find_local_offsets([scores], CALIBRATION)
    coverage = measure_coverage(constant_fault(0.0, 40.0, LIMITS), local, 40.0)
    assert coverage.supports_s == pytest.approx(30, abs=3)
    assert coverage.against_s == pytest.approx(10, abs=3)


def test_time_without_faces_is_unknown():
    local = find_local_offsets([track(at((0, 0)), length_s=10.0)], CALIBRATION)
    coverage = measure_coverage(constant_fault(0.0, 100.0, LIMITS), local, 100.0)
    assert coverage.unknown_s >= 90


def test_models_without_further_offsets_have_no_local_ones():
    near = replace(track(at((0, 0))), wide=None, wide_curve=None)
    assert find_local_offsets([near], CALIBRATION) is None


def test_the_rest_of_a_file_keeps_a_jump_of_its_own():
    scores = track(at((0, 0), (14, 2600), (30, -200)), length_s=50.0)
    local = find_local_offsets([scores], CALIBRATION)
    runs = find_distant_runs(constant_fault(-200.0, 50.0, LIMITS), local, 1.0)
    rest = leave_out([scores], runs, local)
    near = find_fault(rest, -200.0, 50.0, 1.0, LIMITS, CALIBRATION)
    fault = add_distant_segments(near, runs, local, LIMITS)
    assert [round(s.offset_ms, -2) for s in fault.pieces] == [0, 2600, -200]
    assert [s.start_s for s in fault.pieces[1:]] == pytest.approx([14, 30], abs=0.8)


def test_a_run_that_takes_the_time_of_a_whole_segment_replaces_it():
    scores = track(at((0, 0), (14, 2600), (30, -200)), length_s=50.0)
    local = find_local_offsets([scores], CALIBRATION)
    edges, levels_ms = (0.0, 14.4, 29.6, 50.0), (0.0, 300.0, -200.0)
    pieces = tuple(map(OffsetSegment, edges[:-1], edges[1:], levels_ms, (0.0,) * 3))
    near = Fault("jumps", pieces)
    fault = add_distant_segments(near, find_distant_runs(near, local, 1.0), local, LIMITS)
    assert [round(s.offset_ms, -2) for s in fault.pieces] == [0, 2600, -200]
    assert fault.worst_ms == pytest.approx(2600, abs=20)
