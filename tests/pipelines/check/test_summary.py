from dataclasses import replace

import pytest

from avsync.pipelines.check.export import summarize, worst_first
from avsync.scoring.result import CheckResult, Fault, OffsetSegment
from avsync.timing import is_borderline, judge, tolerance

DRIFTING = (OffsetSegment(0.0, 600.0, 0.0, 500.0),)


@pytest.fixture
def make():
    """`make("a.mp4", 83)` or `make("a.mp4", None, "no_face")`."""

    def made(name, offset_ms, reason=None, status=None, spread_ms=5.0, **changes):
        limits = tolerance("ebu")
        interval = None if offset_ms is None else (offset_ms - spread_ms, offset_ms + spread_ms)
        return CheckResult(
            file=name,
            status=status or ("ok" if offset_ms is not None else "cannot_tell"),
            reason=reason,
            detail="",
            verdict=None if offset_ms is None else judge(offset_ms, limits),
            borderline=interval is not None and is_borderline(interval, limits),
            offset_ms=offset_ms,
            interval_ms=interval,
            confidence=0.9,
            duration_s=8.0,
            tracks=(),
            model="dense_sync",
            profile="ebu",
            search_s=1.0,
            **changes,
        )

    return made


@pytest.fixture
def mixed(make):
    return [
        make("good", 0.0),
        make("near", 38.0),
        make("early", 90.0),
        make("mute", None, "no_audio_stream", "unreadable"),
        make("late", -600.0),
        make("faceless", None, "no_face"),
        make("early too", 60.0),
    ]


def test_the_worst_come_first(mixed):
    names = [result.file for result in worst_first(mixed)]
    assert names == ["late", "early", "early too", "mute", "faceless", "near", "good"]


def test_severity_is_relative_to_the_tolerance(make):
    # 100 of 40 ms early use more of the tolerance than 120 of 60 ms late.
    order = worst_first([make("late", -120.0), make("early", 100.0)])
    assert [result.file for result in order] == ["early", "late"]


def test_the_severity_of_a_fault_is_that_of_its_worst_moment(make):
    drift = make("drift", 45.0, fault=Fault("drift", DRIFTING, 500.0, None, 9.0, 60.0, 300.0))
    assert worst_first([make("steady", 200.0), drift])[0].file == "drift"
    passing = replace(drift, file="in tolerance overall", offset_ms=0.0, verdict="in_sync")
    assert worst_first([make("good", 30.0), passing, make("early", 50.0)])[1] == passing


def test_each_kind_is_counted_with_its_reasons(mixed):
    assert summarize(mixed)[:5] == [
        "7 files",
        "  2 in tolerance, 1 of them borderline",
        "  3 out of tolerance: 2 audio leads, 1 audio lags",
        "  1 cannot tell: 1 no face",
        "  1 unreadable: 1 no audio stream",
    ]


def test_faults_over_time_are_counted_by_name(make):
    drift = Fault("drift", DRIFTING, 500.0, None, 9.0, 60.0, 300.0)
    late = Fault("constant", (), None, None, 8.0, 4.0, -90.0)
    results = [make("a", 60.0, fault=drift), make("b", 90.0, fault=drift)]
    results += [make("c", -90.0, fault=late), make("d", 0.0, fault=drift)]
    assert summarize(results)[1:3] == [
        "  1 in tolerance",
        "  3 out of tolerance: 2 drift, 1 audio lags",
    ]


def test_the_worst_are_listed_with_their_descriptions(mixed):
    lines = summarize(mixed, worst=2)[5:]
    assert lines[0] == "the worst first"
    assert lines[1].startswith("  late: audio lags by 600 ms")
    assert lines[2].startswith("  early: audio leads by 90 ms")
    assert len(lines) == 3


def test_files_in_tolerance_are_not_listed_as_the_worst(make):
    assert summarize([make("a", 0.0), make("b", 3.0)]) == ["2 files", "  2 in tolerance"]
    assert summarize([make("a", 0.0), make("b", 90.0)], worst=0)[-1].startswith("  1 out of tol")
