from dataclasses import replace

import pytest

from avsync.pipelines.words import answer, exit_code, sentence, worst
from avsync.scoring.result import CheckResult


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
