from dataclasses import replace

import pytest

from avsync.report.axes import clock, signed_ms, time_ticks
from avsync.report.timeline import HEIGHT, MARKS, draw_scale, draw_timeline
from avsync.report.track_rows import group_tracks
from avsync.scoring.result import TimelinePoint
from avsync.timing import tolerance

EBU = tolerance("ebu")


@pytest.fixture
def draw(make_result):
    """`draw(track, end_s)`: the timeline of a file with that face."""

    def drawn(track, end_s=60.0):
        result = make_result(83.2, tracks=(track,))
        return draw_timeline(group_tracks((track,))[0], result, EBU, end_s)

    return drawn


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(83.04, 1, "+83.0"), (-60, 0, "\N{MINUS SIGN}60"), (-0.04, 1, "0.0"), (0, 0, "0")],
)
def test_a_sign_is_true_and_never_on_nothing(value, digits, words):
    assert signed_ms(value, digits) == words


@pytest.mark.parametrize(
    ("t_s", "digits", "words"),
    [(7, 0, "0:07"), (59.96, 1, "1:00.0"), (3725.5, 1, "1:02:05.5"), (3600, 0, "1:00:00")],
)
def test_times_read_like_a_clock(t_s, digits, words):
    assert clock(t_s, digits) == words


def test_time_ticks_are_round_and_few():
    assert [tick.label for tick in time_ticks(60)] == [clock(10 * k) for k in range(7)]
    assert all(len(time_ticks(end_s)) <= 11 for end_s in (0.4, 2.0, 31.0, 700.0, 36_000.0))


def test_the_scale_puts_offset_and_limits_where_they_belong(make_result):
    scale = draw_scale(make_result(75.0), EBU)
    assert scale.reach_ms == 100
    assert (scale.late.at, scale.early.at, scale.offset.at) == (20, 70, 87.5)
    assert scale.interval == (83.95, 90.7)


def test_the_scale_holds_any_offset(make_result):
    for offset_ms in (-2900.0, -310.0, 0.0, 83.0, 980.0):
        scale = draw_scale(make_result(offset_ms), EBU)
        assert min(scale.offset.at, *scale.interval) > 0
        assert max(scale.offset.at, *scale.interval) < 100


def test_marks_lie_at_their_time_and_height(draw, make_track):
    drawing = draw(make_track(83.2))
    assert [mark.x for mark in drawing.marks[:2]] == [0.83, 2.5]
    mark = drawing.marks[0]
    per_ms = (drawing.band_bottom - drawing.band_top) / 100
    assert drawing.zero - mark.y == pytest.approx(83.2 * per_ms, abs=0.2)
    assert not mark.tolerated


def test_moments_that_cannot_tell_are_a_gap_and_break_the_line(draw, make_track):
    track = make_track(83.2)
    points = tuple(
        replace(point, offset_ms=None) if 20 <= k < 30 else point
        for k, point in enumerate(track.timeline)
    )
    drawing = draw(replace(track, timeline=points))
    assert len(drawing.marks) == 50
    assert drawing.gaps == [(33.33, 16.67)]
    assert len(drawing.lines) == 2


def test_time_without_a_face_is_marked(draw, make_track):
    assert draw(make_track(83.2, start_s=12.0, end_s=48.0)).absent == [(0, 20), (80, 20)]


def test_a_wild_unsure_moment_goes_off_the_scale(draw, make_track):
    track = make_track(83.2)
    wild = TimelinePoint(30.2, -900.0, 0.1)
    points = (*track.timeline[:30], wild, *track.timeline[30:])
    drawing = draw(replace(track, timeline=points))
    assert [mark.offscale for mark in drawing.marks if mark.offscale] == [-1]
    assert drawing.marks[30].y == HEIGHT
    assert not any(f",{HEIGHT}" in line for line in drawing.lines)


def test_a_wild_sure_moment_is_drawn(draw, make_track):
    track = make_track(83.2)
    points = (*track.timeline, TimelinePoint(59.9, -900.0, 0.9))
    assert not any(mark.offscale for mark in draw(replace(track, timeline=points)).marks)


def test_many_moments_join_and_keep_their_reach(draw, make_track):
    track = make_track(83.2, end_s=3600.0)
    points = list(track.timeline)
    points[1000] = TimelinePoint(1000.5, 200.0, 0.9)
    drawing = draw(replace(track, timeline=tuple(points)), 3600.0)
    assert drawing.joined == 10
    assert len(drawing.marks) == MARKS
    tallest = max(drawing.marks, key=lambda mark: mark.y_low - mark.y_high)
    assert tallest.t_s == pytest.approx(1000.5, abs=10)
    assert tallest.y_high < tallest.y


def test_faces_in_turn_share_a_row_and_faces_together_do_not(make_track):
    first, second = make_track(80.0, 0, 0, 20), make_track(80.0, 1, 20, 60)
    beside = make_track(None, 2, 10, 30)
    rows = group_tracks((beside, second, first))
    assert [[track.track for track in row.tracks] for row in rows] == [[0, 1], [2]]
    assert [point.t_s for point in rows[0].points] == sorted(p.t_s for p in rows[0].points)


def test_drift_is_the_move_from_first_to_last_third(make_track):
    track = make_track(0.0)
    points = tuple(replace(point, offset_ms=2 * point.t_s) for point in track.timeline)
    row = group_tracks((replace(track, timeline=points),))[0]
    assert row.drift_ms == pytest.approx(80)
