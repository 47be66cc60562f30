"""The fault decides the repair; an uncertain one is refused with a reason in words."""

import re
from dataclasses import replace

import numpy as np
import pytest
from pipelines.answers import answer

from avsync.pipelines.fix.plan import Repair, largest_offset_ms, plan_repair, repair_doubt
from avsync.scoring.result import Fault, OffsetSegment

DRIFT = Fault("drift", (OffsetSegment(0, 120, 2.0, 500.0),), drift_ppm=500.0)
JUMPS = Fault("jumps", (OffsetSegment(0, 42.1, 0.0, 0.0), OffsetSegment(42.1, 120, 120.0, 0.0)))


@pytest.mark.parametrize("kind", ["none", "constant", "intermittent"])
def test_one_offset_is_one_shift(kind):
    repair = plan_repair(answer(fault=Fault(kind, (OffsetSegment(0, 9, 80.0, 0.0),))))
    assert (repair.kind, repair.pieces) == ("constant", (OffsetSegment(0.0, 9.0, 120.0, 0.0),))
    assert repair.describe() == "moved the audio by +120 ms, without re-encoding"
    assert repair.describe(would=True) == "would move the audio by +120 ms, without re-encoding"


def test_a_drift_is_described_as_resampled_and_reencoded():
    repair = plan_repair(answer(fault=DRIFT))
    assert (repair.kind, repair.ppm, repair.pieces) == ("drift", 500.0, DRIFT.pieces)
    text = Repair("drift", DRIFT.pieces, 500.0, ("aac at 128 kb/s",)).describe()
    assert text == (
        "resampled the audio by +500 ppm (30.0 ms a minute), moving it by +2 ms at first and by "
        "+62 ms at the end and re-encoded it (aac at 128 kb/s), the video is copied unchanged"
    )


def test_a_drift_too_small_to_see_is_shifted_by_its_middle_without_encoding():
    small = Fault("drift", (OffsetSegment(0, 120, 60.0, 200.0),), drift_ppm=200.0)
    repair = plan_repair(answer(fault=small))
    assert (repair.kind, repair.ppm) == ("constant", None)
    assert repair.pieces[0].offset_ms == pytest.approx(72)
    larger = Fault("drift", (OffsetSegment(0, 120, 60.0, 300.0),), drift_ppm=300.0)
    assert plan_repair(answer(fault=larger)).kind == "drift"


def test_jumps_are_described_with_their_times():
    repair = plan_repair(answer(fault=JUMPS))
    assert (repair.kind, repair.pieces) == ("jumps", JUMPS.pieces)
    text = Repair("jumps", JUMPS.pieces, None, ("opus",), ("data (stream 3): tmcd",)).describe(
        would=True
    )
    assert text == (
        "would move the audio by +0 ms up to 0:42.1, +120 ms from 0:42.1, with short fades where "
        "it is cut and re-encode it (opus), the video is copied unchanged; left out, as "
        "the container cannot hold it: data (stream 3): tmcd"
    )


def test_without_an_offset_there_is_no_repair():
    for function in (plan_repair, repair_doubt):
        with pytest.raises(ValueError, match="result must have an offset"):
            function(replace(answer(), offset_ms=None))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("none", ()), None),
        (Fault("constant", (OffsetSegment(0, 9, 120.0, 0.0),)), None),
        (DRIFT, None),
        (JUMPS, None),
        (Fault("intermittent", JUMPS.pieces), "the offset is intermittent"),
        (
            Fault("drift", (OffsetSegment(0, 9, 0.0, 41667.0),)),
            r"drifts by \+41667 ppm, and the change of pitch would be audible beyond 5000",
        ),
        (
            Fault("jumps", (*JUMPS.pieces, OffsetSegment(120, 122, 0.0, 0.0))),
            r"jumps at 2:00\.0 and again 2\.0 s later, too soon to be sure",
        ),
    ],
)
def test_a_fault_whose_repair_is_uncertain_is_refused(fault, words):
    # With a fault the timeline is not used.
    cause = repair_doubt(answer(fault=fault, timeline=[0.0] * 20 + [120.0] * 20))
    if words is None:
        assert cause is None
    else:
        assert re.search(words, cause)


def test_the_largest_offset_is_at_an_end_of_a_segment():
    assert largest_offset_ms(answer(offset_ms=-120.0)) == 120
    assert largest_offset_ms(answer(fault=DRIFT)) == pytest.approx(62)
    assert largest_offset_ms(answer(fault=JUMPS)) == 120


@pytest.mark.parametrize(
    ("timeline", "constant"),
    [
        ([120.0] * 20, True),
        ([120.0, 60.0, 199.0, 41.0] * 5, True),
        ([120.0] * 30 + [None] * 60, True),
        # One wrong moment affects all points whose window holds it, 4.4 s of them.
        ([120.0] * 60 + [-700.0] * 11 + [120.0] * 60, True),
        ([120.0] * 15 + [330.0] * 5, False),
        # A minute of a long file that is off is no wrong moment.
        ([120.0] * 3000 + [330.0] * 150 + [120.0] * 3000, False),
        # A slow drift is off at both ends.
        (list(np.linspace(-80, 320, 50)), False),
    ],
)
def test_a_constant_offset_is_distinguished_from_one_that_changes(timeline, constant):
    assert (repair_doubt(answer(timeline=timeline)) is None) is constant
