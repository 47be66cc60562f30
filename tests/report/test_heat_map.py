import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avsync.report.heat_map import COARSE, FINE, draw_heat_map, viridis
from avsync.scoring.result import thin_score_maps
from avsync.scoring.score_map import ScoreMap

COLUMNS = FINE.columns


def pixels(heat_map) -> np.ndarray:
    """`(H, W, 4)` RGBA of the image, as a browser sees it."""
    data = np.frombuffer(base64.b64decode(heat_map.data_uri.split(",")[1]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


def brightest_ms(heat_map, column: int) -> float:
    image = pixels(heat_map)
    row = image[:, column, :3].astype(int).sum(1).argmax()
    return heat_map.high_ms - (row + 0.5) / len(image) * (heat_map.high_ms - heat_map.low_ms)


@pytest.mark.parametrize("offset_ms", [83.2, -310.0])
def test_the_ridge_is_bright_at_the_offset(make_track, offset_ms):
    heat_map = draw_heat_map((make_track(offset_ms),), 60.0)
    assert brightest_ms(heat_map, COLUMNS // 2) == pytest.approx(offset_ms, abs=15)


def test_best_and_worst_get_the_ends_of_the_colours(make_track):
    image = pixels(draw_heat_map((make_track(0.0),), 60.0))[..., :3].reshape(-1, 3)
    dark, bright = viridis(2)
    assert (image == dark).all(1).any()
    assert (image == bright).all(1).any()


def test_unknown_is_see_through(make_track):
    track = make_track(83.2, start_s=15.0, end_s=45.0)
    alpha = pixels(draw_heat_map((track,), 60.0))[..., 3]
    quarter = COLUMNS // 4
    assert not alpha[:, : quarter - 1].any()
    assert (alpha[:, quarter + 1 : 3 * quarter - 1] == 255).all()
    assert not alpha[:, 3 * quarter + 1 :].any()


def test_time_left_out_stays_see_through(make_track):
    track = make_track(83.2)
    times = np.delete(track.score_map.t_s, slice(20, 40))
    scores = np.delete(track.score_map.scores, slice(20, 40), axis=0)
    gap = replace(track, score_map=ScoreMap(times, track.score_map.shift_ms, scores))
    alpha = pixels(draw_heat_map((gap,), 60.0))[..., 3]
    third = COLUMNS // 3
    assert not alpha[:, third + 1 : 2 * third - 1].any()
    assert alpha[:, : third - 1].all()


def test_faces_in_turn_keep_their_own_position(make_track):
    tracks = (make_track(200.0, 0, 0, 30), make_track(-200.0, 1, 30, 60))
    heat_map = draw_heat_map(tracks, 60.0)
    assert brightest_ms(heat_map, 10) == pytest.approx(200, abs=15)
    assert brightest_ms(heat_map, COLUMNS - 10) == pytest.approx(-200, abs=15)


def test_columns_are_means_of_what_they_cover(make_track):
    times = np.arange(7200) + 0.5
    scores = np.zeros((7200, 3))
    scores[::10, 1] = 1.0
    scores[0] = 1.0
    track = replace(make_track(0.0), score_map=ScoreMap(times, np.array([-10.0, 0, 10]), scores))
    heat_map = draw_heat_map((track,), 7200.0)
    middle = pixels(heat_map)[1, 1:, :3]
    assert (middle == middle[0]).all()
    assert heat_map.best_score < 0.2


def test_without_scores_there_is_no_image(make_track):
    track = make_track(83.2)
    assert draw_heat_map((replace(track, score_map=None),), 60.0) is None
    blank = replace(track.score_map, scores=np.full_like(track.score_map.scores, np.nan))
    assert draw_heat_map((replace(track, score_map=blank),), 60.0) is None


def test_thin_maps_show_the_same_in_a_small_image(make_result, make_track):
    result = make_result(83.2, duration_s=3600.0, tracks=(make_track(83.2, end_s=3600.0),))
    thin = thin_score_maps(result)
    assert thin.tracks[0].score_map.scores.nbytes < 62_000
    for tracks in (result.tracks, thin.tracks):
        heat_map = draw_heat_map(tracks, 3600.0, COARSE)
        image = pixels(heat_map)
        assert image.shape[:2] == (COARSE.lines, COARSE.columns)
        row = image[:, 80, :3].astype(int).sum(1).argmax()
        per_row = (heat_map.high_ms - heat_map.low_ms) / COARSE.lines
        assert heat_map.high_ms - (row + 0.5) * per_row == pytest.approx(83.2, abs=per_row)


def test_a_thin_map_never_has_more_cells_than_the_whole_one(make_result, make_track):
    shots = tuple(make_track(83.2, k, 2.0 * k, 2.0 * k + 2, step_s=0.4) for k in range(500))
    thin = thin_score_maps(make_result(83.2, tracks=shots))
    assert sum(track.score_map.scores.nbytes for track in thin.tracks) < 500 * 300
    short = thin_score_maps(make_result(83.2, tracks=(make_track(83.2, end_s=8.0),)))
    assert short.tracks[0].score_map.t_s.tolist() == [k + 0.5 for k in range(8)]


def test_thinning_keeps_what_has_no_map(make_result, make_track):
    bare = replace(make_track(83.2), score_map=None)
    assert thin_score_maps(make_result(83.2, tracks=(bare,))).tracks == (bare,)
    assert thin_score_maps(make_result(None)).tracks == ()
