import numpy as np
import pytest
from scoring.ridge_track import LENGTH_S, steps, track

from avsync.scoring.result import Fault
from avsync.scoring.trajectory.fault import constant_fault, decide_verdict, find_fault
from avsync.tasks.calibration import calibration_of
from avsync.tasks.registry import create_model
from avsync.timing import tolerance

EBU = tolerance("ebu")
CALIBRATION = calibration_of(create_model("dense_sync", pretrained=True))


def fault_of(path, offset_ms=0.0, **options):
    length_s = options.get("length_s", LENGTH_S)
    return find_fault([track(path, **options)], offset_ms, length_s, 1.0, EBU, CALIBRATION)


@pytest.mark.parametrize(("offset_ms", "kind"), [(30.0, "none"), (50.0, "constant")])
def test_a_constant_offset_is_a_fault_where_it_is_out_of_tolerance(offset_ms, kind):
    fault = constant_fault(offset_ms, 8.0, EBU)
    assert fault.kind == kind
    assert fault.pieces == ((0.0, 8.0, offset_ms, 0.0),)
    assert fault.out_s == (8.0 if kind == "constant" else 0.0)
    assert fault.worst_ms == (offset_ms if kind == "constant" else None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("at_ms", [-7.0, 133.0])
def test_a_constant_file_keeps_its_offset(at_ms, seed):
    fault = fault_of(lambda t_s: at_ms + 0 * t_s, offset_ms=at_ms, seed=seed)
    assert fault == constant_fault(at_ms, LENGTH_S, EBU)


@pytest.mark.parametrize("ppm", [-1000.0, -300.0, 200.0, 700.0])
def test_a_drift_is_found_with_its_sign(ppm):
    fault = fault_of(lambda t_s: 15 + ppm / 1000 * t_s)
    assert fault.kind == "drift"
    assert fault.drift_ppm == pytest.approx(ppm, abs=65)
    (segment,) = fault.pieces
    assert (segment.start_s, segment.end_s) == (0, LENGTH_S)
    assert segment.at(0) == pytest.approx(15, abs=6)
    assert segment.at(LENGTH_S) == pytest.approx(15 + 0.12 * ppm, abs=6)


def test_a_drift_is_out_of_tolerance_from_where_its_line_crosses_the_limit():
    fault = fault_of(lambda t_s: 1.0 * t_s)
    assert fault.out_s == pytest.approx(80, abs=4)
    assert fault.worst_t_s == pytest.approx(LENGTH_S, abs=0.1)
    assert fault.worst_ms == pytest.approx(120, abs=5)
    assert fault.cause.startswith("made at 24 fps, played at 23.976")


def test_a_slope_beyond_any_clock_is_matched_to_a_confusion_of_rates():
    fault = fault_of(lambda t_s: 20 - 1000 / 24 * t_s, length_s=60.0)
    assert (fault.kind, fault.cause) == ("drift", "made at 24 fps, played at 25")
    assert fault.drift_ppm == pytest.approx(-1e6 / 24)


@pytest.mark.parametrize("jump_ms", [-300.0, -80.0, 80.0])
def test_a_jump_is_located_with_both_offsets(jump_ms):
    fault = fault_of(steps((0, 10), (42.1, 10 + jump_ms)))
    assert (fault.kind, fault.drift_ppm, fault.cause) == ("jumps", None, None)
    before, after = fault.pieces
    assert before.end_s == after.start_s == pytest.approx(42.1, abs=1)
    assert (before.start_s, after.end_s) == (0, LENGTH_S)
    assert before.offset_ms == pytest.approx(10, abs=8)
    assert after.offset_ms == pytest.approx(10 + jump_ms, abs=8)
    assert fault.out_s == pytest.approx(LENGTH_S - 42.1, abs=1)


def test_a_jump_while_no_face_is_seen_is_located_in_the_gap():
    seen = np.r_[0:100, 150:300]
    fault = fault_of(steps((0, 0), (45, 200)), keep=seen)
    assert 41 < fault.pieces[0].end_s < 59


def test_several_jumps_are_several_segments():
    fault = fault_of(steps((0, -150), (30, 0), (75, 240)))
    assert fault.kind == "jumps"
    assert [segment.offset_ms for segment in fault.pieces] == pytest.approx([-150, 0, 240], abs=10)
    assert [segment.start_s for segment in fault.pieces] == pytest.approx([0, 30, 75], abs=1)


def test_an_offset_that_leaves_tolerance_and_returns_is_intermittent():
    fault = fault_of(steps((0, 5), (40, -160), (60, 5)))
    assert fault.kind == "intermittent"
    assert fault.out_s == pytest.approx(20, abs=1.5)
    assert 40 < fault.worst_t_s < 60
    assert fault.worst_ms == pytest.approx(-160, abs=8)


def test_faces_that_take_turns_share_one_trajectory():
    path = steps((0, 0), (60, 120))
    first, second = (track(path, keep=part) for part in (slice(0, 140), slice(130, 300)))
    fault = find_fault([first, second], 0.0, LENGTH_S, 1.0, EBU, CALIBRATION)
    assert fault.kind == "jumps"
    assert fault.pieces[0].end_s == pytest.approx(60, abs=1)


def test_no_trajectory_is_fitted_to_a_few_seconds():
    assert fault_of(lambda t_s: 15 * t_s, length_s=3.6).kind == "none"


def test_a_file_that_is_out_of_tolerance_for_a_good_part_is_not_in_sync():
    long, short = (
        Fault("jumps", (), out_s=out_s, worst_t_s=9.0, worst_ms=-200.0) for out_s in (3.5, 2.0)
    )
    assert decide_verdict(long, 0.0, 1000.0, EBU) == "audio_lags"
    assert decide_verdict(short, 0.0, 1000.0, EBU) == "in_sync"
    assert decide_verdict(short, 0.0, 20.0, EBU) == "audio_lags"
