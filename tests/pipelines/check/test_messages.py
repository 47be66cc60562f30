from dataclasses import replace

import pytest

from avsync.pipelines.check.messages import answer, clock, exit_code, sentence, worst
from avsync.scoring.result import CheckResult, Fault, Piece


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


def test_an_answer_is_one_line_with_its_numbers_and_its_limits(result):
    expected = "audio leads by 83 ms (79 to 88, confidence 0.97): out of tolerance (EBU R37)"
    assert sentence(result) == f"clip.mp4: {expected}"


def test_an_interval_counts_the_way_the_words_count(result):
    late = replace(result, verdict="audio_lags", offset_ms=-83.2, interval_ms=(-88.0, -79.4))
    assert answer(late).startswith("audio lags by 83 ms (79 to 88, ")


def test_an_interval_around_zero_keeps_its_sign(result):
    late = replace(result, verdict="in_sync", offset_ms=-5.0, interval_ms=(-12.0, 3.0))
    assert answer(late).startswith("audio lags by 5 ms (-3 to 12, ")
    together = replace(late, offset_ms=-0.3)
    assert answer(together).startswith("audio and video together (-12 to 3 ms, ")


def test_a_borderline_answer_says_so(result):
    near = replace(result, verdict="in_sync", offset_ms=38.0, borderline=True, profile="itu")
    assert answer(near).endswith(": in tolerance, borderline (ITU-R BT.1359 detectability)")


def test_a_drift_tells_its_rate_its_ends_and_its_cause(result):
    cause = "made at 24 fps, played at 23.976"
    drift = Fault("drift", (Piece(0, 120, -10.0, 1000.0),), 1000.0, cause, 70.0, 120.0, 110.0)
    said = answer(replace(result, fault=drift))
    expected = f"audio drifts by +1000 ppm (60 ms a minute), from -10 to +110 ms: {cause} ("
    assert said.startswith(expected)
    assert said.endswith("out of tolerance (EBU R37)")


def test_a_jump_tells_when_and_from_what_to_what(result):
    pieces = (Piece(0, 42.1, 0.4, 0), Piece(42.1, 90, 120, 0), Piece(90, 3700, -40, 0))
    said = answer(replace(result, fault=Fault("jumps", pieces)))
    jumps = "at 0:42.1 from +0 to +120 ms, at 1:30.0 from +120 to -40 ms"
    assert said.startswith(f"audio jumps {jumps} (")


def test_many_jumps_are_counted(result):
    pieces = tuple(Piece(10 * k, 10 * k + 10, 100.0 * (k % 3), 0) for k in range(6))
    said = answer(replace(result, fault=Fault("jumps", pieces)))
    assert said.count(" at 0:") == 3
    assert " and 2 times more (" in said


def test_what_comes_and_goes_tells_for_how_long_and_when_it_is_worst(result):
    fault = Fault("intermittent", (), None, None, 20.4, 50.0, -160.0)
    said = answer(replace(result, fault=fault))
    assert said.startswith("audio comes and goes, 20 s out of tolerance, worst -160 ms at 0:50.0 (")


def test_a_constant_fault_is_told_as_an_offset(result):
    constant = Fault("constant", (Piece(0, 8, 83.2, 0),), out_s=8.0)
    assert answer(replace(result, fault=constant)) == answer(result)


def test_times_are_told_as_on_a_clock():
    assert [clock(t) for t in (0.04, 59.96, 3723.42)] == ["0:00.0", "1:00.0", "1:02:03.4"]


def test_no_answer_gives_the_reason_and_no_number(result):
    silent = unanswered(result, "cannot_tell", "no_face", "no face found")
    assert sentence(silent) == "clip.mp4: cannot tell: no face found"
    broken = unanswered(result, "unreadable", "damaged", "it is a text file")
    assert answer(broken) == "unreadable: it is a text file"


@pytest.mark.parametrize("name", ["a\nb.mp4", "a\x1b[31mb.mp4", "a\udcffb.mp4"])
def test_any_name_stays_on_one_line_of_plain_text(result, name):
    line = sentence(replace(result, file=name))
    assert line.isprintable()
    line.encode()


def test_exit_codes_rank_unreadable_over_cannot_tell_over_out_over_in(result):
    good = replace(result, verdict="in_sync")
    silent = unanswered(result, "cannot_tell", "silence", "")
    broken = unanswered(result, "unreadable", "damaged", "")
    assert [exit_code(r) for r in (good, result, silent, broken)] == [0, 10, 11, 12]
    assert worst([result, broken, good]) == 12
    assert worst([silent, result]) == 11
    assert worst([good, result]) == 10
    assert worst([]) == 0
