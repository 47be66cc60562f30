"""The page of a file whose offset is not the same all along."""

from dataclasses import replace

import pytest

from avsync.report.thumbnails import choose_moments
from avsync.report.timeline import draw_timeline
from avsync.report.track_rows import group_tracks
from avsync.report.verdict_text import advise
from avsync.scoring.result import Fault, Piece
from avsync.timing import tolerance

EBU = tolerance("ebu")
MINUS = "\N{MINUS SIGN}"
DRIFT = Fault(
    "drift", (Piece(0.0, 60.0, 2.0, 1000.0),), 1000.0, "made at 24 fps, played at 23.976",
    22.0, 60.0, 62.0,
)  # fmt: skip
JUMPS = Fault(
    "jumps", (Piece(0.0, 20.0, 0.0, 0.0), Piece(20.0, 60.0, 120.0, 0.0)), None, None,
    40.0, 40.0, 120.0,
)  # fmt: skip
PASSING = Fault("intermittent", (*JUMPS.pieces[:1], Piece(20, 30, -90, 0), Piece(30, 60, 1, 0)))


@pytest.fixture
def faulty(make_result, make_track):
    """`faulty(fault)`: a minute of a face whose moments follow the fault."""

    def made(fault, **changes):
        changes = {"verdict": "audio_leads" if fault.out_s else "in_sync", **changes}
        track = make_track(30.0)
        points = tuple(
            replace(point, offset_ms=piece.at(point.t_s))
            for point in track.timeline
            for piece in fault.pieces
            if piece.start_s <= point.t_s < piece.end_s
        )
        tracks = (replace(track, timeline=points),)
        return make_result(30.0, tracks=tracks, fault=fault, **changes)

    return made


def drawn(result):
    return draw_timeline(group_tracks(result.tracks)[0], result, EBU, 60.0)


def test_a_drift_is_told_with_its_rate_course_and_cause(faulty):
    advice = advise(faulty(DRIFT))
    assert (advice.tone, advice.headline) == ("bad", "Audio drifts by +1000 ppm")
    assert "From +2 ms at the beginning to +62 ms at the end, 60 ms a minute" in advice.meaning
    assert "made at 24 fps, played at 23.976" in advice.meaning
    assert "Out of tolerance for 0:22.0 of 1:00.0, worst at 1:00.0 with +62 ms" in advice.meaning
    assert "re-encoded" in advice.command.purpose


def test_jumps_are_told_with_their_moments(faulty):
    advice = advise(faulty(JUMPS))
    assert advice.headline == "Audio jumps at 0:20.0"
    assert "0 ms up to 0:20.0, +120 ms from 0:20.0" in advice.meaning
    more = replace(JUMPS, pieces=tuple(Piece(k, k + 1.0, 90.0 * (k % 2), 0) for k in range(20)))
    assert advise(faulty(more)).headline == "Audio jumps 19 times"
    assert "and 13 more changes" in advise(faulty(more)).meaning


def test_what_comes_and_goes_has_no_command(faulty):
    advice = advise(faulty(replace(PASSING, out_s=10.0, worst_t_s=25.0, worst_ms=-90.0)))
    assert advice.headline == "Audio goes out of sync and comes back"
    assert f"{MINUS}90 ms from 0:20.0, +1 ms from 0:30.0" in advice.meaning
    assert advice.command is None


def test_a_drift_in_tolerance_needs_nothing(faulty):
    calm = replace(DRIFT, pieces=(Piece(0, 60, -5, 200),), drift_ppm=200.0, out_s=0.0)
    advice = advise(faulty(replace(calm, worst_t_s=None, worst_ms=None)))
    assert (advice.tone, advice.headline, advice.command) == ("good", "In sync", None)
    assert "Audio drifts by +200 ppm" in advice.meaning


def test_a_verdict_of_in_sync_stands_though_a_moment_is_out(faulty):
    advice = advise(faulty(replace(DRIFT, out_s=0.4), verdict="in_sync"))
    assert (advice.tone, advice.headline) == ("good", "In sync")
    assert "Out of tolerance for 0:00.4" in advice.meaning
    assert advice.todo == "Look at the timeline."


def test_an_offset_that_stays_is_told_as_before(make_result):
    steady = Fault("constant", (Piece(0, 60, 83.2, 0),), None, None, 60.0, 30.0, 83.2)
    assert advise(make_result(83.2, fault=steady)) == advise(make_result(83.2))


def test_a_fault_is_a_line_over_the_timeline(faulty):
    drawing = drawn(faulty(DRIFT))
    ((x0, y0), (x1, y1)) = ends(drawing.trajectory[0])
    per_ms = (drawing.band_bottom - drawing.band_top) / 100
    assert (x0, x1) == (0, 100)
    assert drawing.zero - y0 == pytest.approx(2 * per_ms, abs=0.2)
    assert drawing.zero - y1 == pytest.approx(62 * per_ms, abs=0.2)
    assert drawing.jumps == []


def test_a_jump_is_marked_where_it_is_and_breaks_the_line(faulty):
    drawing = drawn(faulty(JUMPS))
    assert [(jump.at, jump.label) for jump in drawing.jumps] == [(33.33, "0:20.0")]
    assert [x for line in drawing.trajectory for x, _ in ends(line)] == [0, 33.33, 33.33, 100]
    assert len(drawing.lines) == 2


def ends(points):
    return [tuple(map(float, point.split(","))) for point in points.split()]


def test_each_piece_of_a_fault_has_its_moment(faulty):
    result = faulty(PASSING)
    moments = choose_moments(group_tracks(result.tracks)[0], EBU, result.fault)
    for piece in PASSING.pieces:
        assert any(piece.start_s <= moment.t_s < piece.end_s for moment in moments)
    assert min(moment.point.offset_ms for moment in moments) == -90
