from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from avsync.scoring.active_speaker import speaking_segments
from avsync.scoring.score_sums import TrackScores

OFFSETS = np.arange(-2000, 2001, 20.0)
BIN_S = 0.4


def face(speaks, at_ms=0.0, height=1.0, seed=0):
    """Return scores of a face that speaks in the bins where `speaks` (B,) is true."""
    speaks = np.asarray(speaks, float)
    ridge = height * speaks[:, None] * np.exp(-0.5 * ((OFFSETS - at_ms) / 40) ** 2)
    noise = 0.15 * np.random.default_rng(seed).normal(size=ridge.shape)
    bins = np.arange(len(speaks))
    full = np.full(len(speaks), 10)
    last = 10 * len(speaks) - 1
    return TrackScores(0, last, OFFSETS, bins, ridge + noise, full, np.full(len(speaks), 0.1))


def test_two_speakers_who_take_turns_are_separated():
    first = np.arange(40) < 20
    segments = speaking_segments({0: face(first), 1: face(~first, seed=1)}, offset_ms=0.0)
    assert len(segments[0]) == len(segments[1]) == 1
    assert segments[0][0] == pytest.approx((0.0, 8.0), abs=2 * BIN_S)
    assert segments[1][0] == pytest.approx((8.0, 16.0), abs=2 * BIN_S)


def test_a_face_that_never_speaks_has_no_segments():
    segments = speaking_segments({0: face(np.ones(30)), 1: face(np.zeros(30), seed=1)}, 0.0)
    assert segments[1] == ()
    assert sum(high - low for low, high in segments[0]) == pytest.approx(12.0, abs=BIN_S)


def test_speech_at_another_offset_is_not_the_files():
    assert speaking_segments({0: face(np.ones(30), at_ms=600.0)}, offset_ms=0.0) == {0: ()}


def test_never_do_two_speak_at_once():
    segments = speaking_segments(
        {0: face(np.ones(30)), 1: face(np.ones(30), height=0.6, seed=1)}, 0.0
    )
    times = sorted(segment for found in segments.values() for segment in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))


def test_a_pause_of_the_face_is_no_speech():
    scores = face(np.ones(30))
    gone = (scores.bins < 10) | (scores.bins >= 18)
    kept = TrackScores(
        0, 300, OFFSETS, scores.bins[gone], scores.evidence[gone], scores.windows[gone],
        scores.motion[gone],
    )  # fmt: skip
    segments = speaking_segments({0: kept}, 0.0)[0]
    assert [segment[0] for segment in segments] == pytest.approx([0.0, 7.2])


def test_speech_ends_with_the_track():
    scores = face(np.ones(30))
    short = replace(scores, last_tick=scores.last_tick - 4)
    assert speaking_segments({0: short}, 0.0)[0][-1][1] == pytest.approx(12.0 - 4 / 25)
