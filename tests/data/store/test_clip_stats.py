import numpy as np
import pytest
from data.made_store import loud, made_store, moving

from avsync.data.store.clip_stats import look_at, new_fps, twins


def test_pictures_shown_twice_count_once():
    assert new_fps(moving(0, 51)) == 25
    assert new_fps(moving(0, 51, every=2)) == pytest.approx(12.5, abs=0.3)
    assert new_fps(moving(0, 51, every=3)) == pytest.approx(25 / 3, abs=0.4)


def test_a_picture_shown_again_may_differ_a_little():
    crops = moving(0, 51, every=2).astype(int)
    crops[1::2] = np.clip(crops[1::2] + 2, 0, 255)
    assert new_fps(crops.astype(np.uint8)) == pytest.approx(12.5, abs=0.3)


def test_a_clip_in_which_nothing_moves_is_not_called_slow():
    assert new_fps(np.zeros((10, 96, 96, 3), np.uint8)) == 25


def test_quiet_is_a_share_of_the_frames(tmp_path):
    wav = loud(0, 50)
    wav[: len(wav) // 4] = 0.001
    store = made_store(tmp_path, {"a/one": (moving(0), wav)})
    assert look_at(store[0]).quiet == pytest.approx(0.26, abs=0.1)


def test_the_same_recording_is_known_again_when_it_was_encoded_anew(tmp_path):
    wav, rng = loud(0, 50), np.random.default_rng(9)
    again = (0.9 * wav + rng.normal(0, 0.002, len(wav))).astype(np.float32)
    clips = {
        "a/one": (moving(0), wav),
        "a/two": (moving(1), loud(1)),
        "b/again": (moving(2), again),
    }
    store = made_store(tmp_path, clips)
    looks = [look_at(clip) for clip in store]
    frames = np.array([row["frames"] for row in store.rows])
    pairs = twins(np.stack([look.loudness for look in looks]), frames)
    assert [(store.rows[a]["id"], store.rows[b]["id"]) for a, b in pairs] == [
        ("a_one.0", "b_again.0")
    ]


def test_clips_of_other_lengths_or_without_any_course_are_no_twins():
    loudness = np.zeros((4, 64))
    loudness[:2, 0] = 1.0
    assert twins(loudness, np.array([50, 60, 50, 50])) == []
    assert twins(loudness, np.array([50, 51, 50, 50])) == [(0, 1)]
