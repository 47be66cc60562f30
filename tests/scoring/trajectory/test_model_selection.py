import numpy as np
import pytest
from scoring.ridge_track import LENGTH_S, steps, track

from avsync.scoring.result import TrackResult
from avsync.scoring.trajectory.model_selection import decide_along_trajectory, fit_trajectory
from avsync.scoring.trajectory.piecewise import PiecewiseTrajectory
from avsync.tasks.calibration import calibration_of
from avsync.tasks.registry import create_model

CALIBRATION = calibration_of(create_model("dense_sync", pretrained=True))
SEARCH_S = 1.0


@pytest.fixture
def no_match():
    box = (0.0, 0.0, 100.0, 100.0)
    return TrackResult(0, 0.0, LENGTH_S, box, "cannot_tell", "no_match", None, None, 0.2)


def test_a_face_whose_offset_jumps_gets_the_offset_of_its_longest_segment(no_match):
    result = decide_along_trajectory(
        no_match, track(steps((0, 0), (50, 200))), SEARCH_S, CALIBRATION
    )
    assert (result.status, result.reason) == ("ok", None)
    assert result.offset_ms == pytest.approx(200, abs=10)
    assert result.interval_ms[0] < result.offset_ms < result.interval_ms[1]
    assert result.confidence > 0.5


def test_a_face_whose_offset_drifts_gets_the_offset_of_its_middle(no_match):
    result = decide_along_trajectory(no_match, track(lambda t_s: t_s - 30), SEARCH_S, CALIBRATION)
    assert result.status == "ok"
    assert result.offset_ms == pytest.approx(30, abs=10)


def test_noise_has_no_trajectory(no_match):
    silent = track(steps((0, 1e6)))
    assert decide_along_trajectory(no_match, silent, SEARCH_S, CALIBRATION) is no_match


def test_a_face_that_has_an_offset_keeps_it(no_match):
    decided = TrackResult(0, 0.0, LENGTH_S, no_match.box, "ok", None, 7.0, (0.0, 14.0), 0.9)
    found = track(steps((0, 0), (50, 200)))
    assert decide_along_trajectory(decided, found, SEARCH_S, CALIBRATION) is decided


def test_a_chance_match_at_other_offsets_is_no_jump():
    found = track(steps((0, 0)))
    other = (found.bins > 100) & (found.bins < 140)
    found.evidence[other] = track(steps((0, 1e6)), seed=1).evidence[other]
    # Another speaker's voice gives as much evidence, but over many offsets and at no single one.
    broad = np.exp(-0.5 * ((found.offsets_ms - 600) / 400) ** 2)
    found.evidence[other] += 60 * broad
    assert not isinstance(fit_trajectory([found], SEARCH_S, CALIBRATION), PiecewiseTrajectory)
