import numpy as np
import pytest

from avsync.scoring.decision import TrackExtent, decide_from_evidence, decide_track
from avsync.scoring.score_sums import EvidenceCurve, TrackScores
from avsync.tasks.calibration import Calibration

OFFSETS = np.arange(-2000, 2001, 20.0)
BINS = 12
SPEECH = np.full(200, -20.0)
CALIBRATION = Calibration()


def scores(at_ms=0.0, height=1.0, motion=0.1, bins=BINS):
    rng = np.random.default_rng(0)
    at = np.broadcast_to(at_ms, bins)[:, None]
    ridge = height * np.exp(-0.5 * ((OFFSETS - at) / 40) ** 2)
    noise = 0.15 * rng.normal(size=(bins, len(OFFSETS)))
    return TrackScores(
        first_tick=0,
        last_tick=10 * bins,
        offsets_ms=OFFSETS,
        bins=np.arange(bins),
        evidence=ridge + noise,
        windows=np.full(bins, 10),
        motion=np.full(bins, motion),
    )


def face(width=120.0, seconds=5.0):
    return TrackExtent(0, 0.0, seconds, (10.0, 20.0, 10.0 + width, 160.0))


def decide(found, face=face(), level=SPEECH, search_s=1.0):  # noqa: B008
    return decide_track(face, found, level, search_s, CALIBRATION)


@pytest.mark.parametrize("at_ms", [-480.0, 0.0, 83.0, 900.0])
def test_a_clear_ridge_gives_its_offset(at_ms):
    result = decide(scores(at_ms))
    assert (result.status, result.reason) == ("ok", None)
    assert result.offset_ms == pytest.approx(at_ms, abs=8)
    low, high = result.interval_ms
    assert low < at_ms < high
    assert result.confidence > 0.85


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("face_too_small", dict(face=face(width=31))),
        ("too_short", dict(face=face(seconds=0.9))),
        ("silence", dict(level=np.full(200, -75.0))),
        ("silence", dict(level=np.full(200, np.nan))),
        ("too_quiet", dict(level=np.full(200, -65.0))),
    ],
)
def test_an_unusable_track_gives_the_reason(reason, arguments):
    result = decide(scores(), **arguments)
    assert (result.status, result.reason) == ("cannot_tell", reason)
    assert result.offset_ms is None
    assert result.interval_ms is None


def test_lips_that_do_not_move_are_still():
    assert decide(scores(motion=0.001)).reason == "still_lips"


def test_noise_is_no_match():
    result = decide(scores(height=0.0))
    assert (result.status, result.reason) == ("cannot_tell", "no_match")
    assert result.confidence < 0.5


def test_a_ridge_beyond_the_search_is_out_of_range_and_a_wider_search_finds_it():
    assert decide(scores(1500.0)).reason == "out_of_range"
    assert decide(scores(-700.0), search_s=0.5).reason == "out_of_range"
    assert decide(scores(-700.0), search_s=1.0).offset_ms == pytest.approx(-700, abs=8)


def test_the_timeline_follows_a_jump():
    jump = np.where(np.arange(40) < 20, 0.0, 200.0)
    timeline = decide(scores(jump, bins=40), face(seconds=16)).timeline
    offsets = [point.offset_ms for point in timeline]
    assert offsets[3] == pytest.approx(0, abs=10)
    assert offsets[36] == pytest.approx(200, abs=10)
    assert [point.t_s for point in timeline[:2]] == [pytest.approx(0.2), pytest.approx(0.6)]


def test_the_map_holds_the_search_range_only():
    shown = decide(scores(), search_s=0.5).score_map
    assert shown.shift_ms[0] == -500
    assert shown.shift_ms[-1] == 500
    assert shown.scores.shape == (BINS, 51)


def test_more_speech_narrows_the_interval_if_the_calibration_says_how():
    newer = Calibration(floor_ms=2.0, blur_ms=240.0, error_scale=1.6)
    halves = {}
    for calibration in (CALIBRATION, newer):
        for bins in (8, 150):
            found = decide_track(
                face(seconds=bins / 2.5), scores(47.0, bins=bins), SPEECH, 1.0, calibration
            )
            low, high = found.interval_ms
            assert low < 47 < high
            halves[calibration, bins] = (high - low) / 2
    assert halves[newer, 150] < halves[newer, 8] / 2
    assert halves[newer, 150] < 8
    assert halves[CALIBRATION, 150] > 20


def test_no_evidence_is_no_match():
    assert (
        decide_from_evidence(
            EvidenceCurve(np.zeros(len(OFFSETS)), OFFSETS), 1.0, CALIBRATION
        ).reason
        == "no_match"
    )
