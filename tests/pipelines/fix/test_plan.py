"""What is wrong decides what is done; what is unsure is refused in plain words."""

import re
from dataclasses import replace

import numpy as np
import pytest
from pipelines.answers import answer

from avsync.pipelines.fix.plan import Repair, doubt, repair_of, worst_ms
from avsync.scoring.result import Fault, Piece

DRIFT = Fault("drift", (Piece(0, 120, 2.0, 500.0),), drift_ppm=500.0)
JUMPS = Fault("jumps", (Piece(0, 42.1, 0.0, 0.0), Piece(42.1, 120, 120.0, 0.0)))


@pytest.mark.parametrize("kind", ["none", "constant", "intermittent"])
def test_one_offset_is_one_shift(kind):
    repair = repair_of(answer(fault=Fault(kind, (Piece(0, 9, 80.0, 0.0),))))
    assert (repair.kind, repair.pieces) == ("constant", (Piece(0.0, 9.0, 120.0, 0.0),))
    assert repair.sentence() == "moved the audio by +120 ms, without re-encoding"
    assert repair.sentence(would=True) == "would move the audio by +120 ms, without re-encoding"


def test_a_drift_is_said_to_be_resampled_and_encoded_anew():
    repair = repair_of(answer(fault=DRIFT))
    assert (repair.kind, repair.ppm, repair.pieces) == ("drift", 500.0, DRIFT.pieces)
    told = Repair("drift", DRIFT.pieces, 500.0, ("aac at 128 kb/s",)).sentence()
    assert told == (
        "resampled the audio by +500 ppm (30.0 ms a minute), moving it by +2 ms at first and by "
        "+62 ms at the end and re-encoded it (aac at 128 kb/s), the frames are copied as they are"
    )


def test_a_drift_too_small_to_see_is_shifted_by_its_middle_without_encoding():
    small = Fault("drift", (Piece(0, 120, 60.0, 200.0),), drift_ppm=200.0)
    repair = repair_of(answer(fault=small))
    assert (repair.kind, repair.ppm) == ("constant", None)
    assert repair.pieces[0].offset_ms == pytest.approx(72)
    larger = Fault("drift", (Piece(0, 120, 60.0, 300.0),), drift_ppm=300.0)
    assert repair_of(answer(fault=larger)).kind == "drift"


def test_jumps_are_said_with_their_times():
    repair = repair_of(answer(fault=JUMPS))
    assert (repair.kind, repair.pieces) == ("jumps", JUMPS.pieces)
    told = Repair("jumps", JUMPS.pieces, None, ("opus",), ("data (stream 3): tmcd",)).sentence(
        would=True
    )
    assert told == (
        "would move the audio by +0 ms up to 0:42.1, +120 ms from 0:42.1, with short fades where "
        "it is cut and re-encode it (opus), the frames are copied as they are; left out, for "
        "want of a place: data (stream 3): tmcd"
    )


def test_without_an_offset_there_is_no_repair():
    for judge in (repair_of, doubt):
        with pytest.raises(ValueError, match="result must have an offset"):
            judge(replace(answer(), offset_ms=None))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("none", ()), None),
        (Fault("constant", (Piece(0, 9, 120.0, 0.0),)), None),
        (DRIFT, None),
        (JUMPS, None),
        (Fault("intermittent", JUMPS.pieces), "the offset comes and goes"),
        (
            Fault("drift", (Piece(0, 9, 0.0, 41667.0),)),
            r"drifts by \+41667 ppm, and voices would be heard to change beyond 5000",
        ),
        (
            Fault("jumps", (*JUMPS.pieces, Piece(120, 122, 0.0, 0.0))),
            r"jumps at 2:00\.0 and again 2\.0 s later, too soon to be sure",
        ),
    ],
)
def test_a_fault_that_cannot_be_repaired_surely_is_in_doubt(fault, words):
    # A timeline that changes says nothing where the fault is named.
    cause = doubt(answer(fault=fault, timeline=[0.0] * 20 + [120.0] * 20))
    if words is None:
        assert cause is None
    else:
        assert re.search(words, cause)


def test_the_worst_is_the_furthest_end_of_any_piece():
    assert worst_ms(answer(offset_ms=-120.0)) == 120
    assert worst_ms(answer(fault=DRIFT)) == pytest.approx(62)
    assert worst_ms(answer(fault=JUMPS)) == 120


@pytest.mark.parametrize(
    ("timeline", "constant"),
    [
        ([120.0] * 20, True),
        ([120.0, 60.0, 199.0, 41.0] * 5, True),
        ([120.0] * 30 + [None] * 60, True),
        # One misjudged moment colours all points that see it, 4.4 s of them.
        ([120.0] * 60 + [-700.0] * 11 + [120.0] * 60, True),
        ([120.0] * 15 + [330.0] * 5, False),
        # A minute of a long file that is off is no misjudged moment.
        ([120.0] * 3000 + [330.0] * 150 + [120.0] * 3000, False),
        # A slow drift is off at both ends.
        (list(np.linspace(-80, 320, 50)), False),
    ],
)
def test_a_constant_offset_is_told_from_one_that_changes(timeline, constant):
    assert (doubt(answer(timeline=timeline)) is None) is constant
