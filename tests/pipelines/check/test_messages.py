from dataclasses import replace

import pytest

from avsync.pipelines.check.messages import (
    describe_outcome,
    describe_result,
    exit_code,
    format_time,
    worst_exit_code,
)
from avsync.scoring.result import CheckResult, Fault, OffsetSegment


@pytest.fixture
def result():
    return CheckResult(
        file="clip.mp4",
        status="ok",
        reason=None,
        detail="",
        verdict="audio_leads",
        borderline=False,
        offset_ms=83.2,
        interval_ms=(79.4, 88.0),
        confidence=0.974,
        duration_s=8.0,
        tracks=(),
        model="dense_sync",
        profile="ebu",
        search_s=1.0,
    )


def unanswered(result, status, reason, detail):
    return replace(
        result, status=status, reason=reason, detail=detail, verdict=None, offset_ms=None
    )


def test_a_result_is_one_line_with_its_numbers_and_its_limits(result):
    expected = "audio leads by 83 ms (79 to 88, confidence 0.97): out of tolerance (EBU R37)"
    assert describe_result(result) == f"clip.mp4: {expected}"


def test_an_interval_has_the_direction_of_the_words(result):
    late = replace(result, verdict="audio_lags", offset_ms=-83.2, interval_ms=(-88.0, -79.4))
    assert describe_outcome(late).startswith("audio lags by 83 ms (79 to 88, ")


def test_an_interval_around_zero_keeps_its_sign(result):
    late = replace(result, verdict="in_sync", offset_ms=-5.0, interval_ms=(-12.0, 3.0))
    assert describe_outcome(late).startswith("audio lags by 5 ms (-3 to 12, ")
    together = replace(late, offset_ms=-0.3)
    assert describe_outcome(together).startswith("audio and video together (-12 to 3 ms, ")


def test_a_result_that_only_the_zero_makes_doubtful_says_so(result):
    near = dict(verdict="in_sync", offset_ms=4.0, interval_ms=(-2.0, 10.0), profile="atsc")
    known = replace(result, **near, zero_uncertainty_ms=16.0)
    line = describe_outcome(known)
    assert ": in tolerance, borderline within the 16 ms of the model's zero (ATSC" in line
    assert "borderline" not in describe_outcome(replace(known, profile="ebu"))
    assert "model's zero" not in describe_outcome(replace(known, borderline=True))


def test_a_borderline_result_says_so(result):
    near = replace(result, verdict="in_sync", offset_ms=38.0, borderline=True, profile="itu")
    assert describe_outcome(near).endswith(
        ": in tolerance, borderline (ITU-R BT.1359 detectability)"
    )


def test_a_drift_is_described_with_its_rate_its_ends_and_its_cause(result):
    cause = "made at 24 fps, played at 23.976"
    drift = Fault(
        "drift", (OffsetSegment(0, 120, -10.0, 1000.0),), 1000.0, cause, 70.0, 120.0, 110.0
    )
    text = describe_outcome(replace(result, fault=drift))
    expected = f"audio drifts by +1000 ppm (60 ms a minute), from -10 to +110 ms: {cause} ("
    assert text.startswith(expected)
    assert text.endswith("out of tolerance (EBU R37)")


def test_a_jump_is_described_with_its_time_and_both_offsets(result):
    segments = (
        OffsetSegment(0, 42.1, 0.4, 0),
        OffsetSegment(42.1, 90, 120, 0),
        OffsetSegment(90, 3700, -40, 0),
    )
    text = describe_outcome(replace(result, fault=Fault("jumps", segments)))
    jumps = "at 0:42.1 from +0 to +120 ms, at 1:30.0 from +120 to -40 ms"
    assert text.startswith(f"audio jumps {jumps} (")


def test_many_jumps_are_counted(result):
    segments = tuple(OffsetSegment(10 * k, 10 * k + 10, 100.0 * (k % 3), 0) for k in range(6))
    text = describe_outcome(replace(result, fault=Fault("jumps", segments)))
    assert text.count(" at 0:") == 3
    assert " and 2 times more (" in text


def test_an_intermittent_fault_is_described_with_its_duration_and_worst_moment(result):
    fault = Fault("intermittent", (), None, None, 20.4, 50.0, -160.0)
    text = describe_outcome(replace(result, fault=fault))
    assert text.startswith(
        "audio goes out of sync and back, 20 s out of tolerance, worst -160 ms at 0:50.0 ("
    )


def test_a_constant_fault_is_described_as_an_offset(result):
    constant = Fault("constant", (OffsetSegment(0, 8, 83.2, 0),), out_s=8.0)
    assert describe_outcome(replace(result, fault=constant)) == describe_outcome(result)


def test_times_are_formatted_as_on_a_clock():
    assert [format_time(t) for t in (0.04, 59.96, 3723.42)] == ["0:00.0", "1:00.0", "1:02:03.4"]


def test_without_an_offset_the_reason_is_given_and_no_number(result):
    silent = unanswered(result, "cannot_tell", "no_face", "no face found")
    assert describe_result(silent) == "clip.mp4: cannot tell: no face found"
    broken = unanswered(result, "unreadable", "damaged", "it is a text file")
    assert describe_outcome(broken) == "unreadable: it is a text file"


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\x1b[31mb.mp4", "a\udcffb.mp4"])
def test_any_name_stays_on_one_line_of_plain_text(result, name):
    line = describe_result(replace(result, file=name))
    assert line.isprintable()
    line.encode()


def test_exit_codes_rank_unreadable_over_cannot_tell_over_out_over_in(result):
    good = replace(result, verdict="in_sync")
    silent = unanswered(result, "cannot_tell", "silence", "")
    broken = unanswered(result, "unreadable", "damaged", "")
    assert [exit_code(r) for r in (good, result, silent, broken)] == [0, 10, 11, 12]
    assert worst_exit_code([result, broken, good]) == 12
    assert worst_exit_code([silent, result]) == 11
    assert worst_exit_code([good, result]) == 10
    assert worst_exit_code([]) == 0
