import numpy as np
import pytest
from data.made_store import loud, made_store, moving

from avsync.data.store.clip_stats import distinct_fps, find_duplicates, measure_clip


def test_repeated_frames_count_once():
    assert distinct_fps(moving(0, 51)) == 25
    assert distinct_fps(moving(0, 51, every=2)) == pytest.approx(12.5, abs=0.3)
    assert distinct_fps(moving(0, 51, every=3)) == pytest.approx(25 / 3, abs=0.4)


def test_a_repeated_frame_may_differ_a_little():
    crops = moving(0, 51, every=2).astype(int)
    crops[1::2] = np.clip(crops[1::2] + 2, 0, 255)
    assert distinct_fps(crops.astype(np.uint8)) == pytest.approx(12.5, abs=0.3)


def test_a_clip_in_which_nothing_moves_is_not_called_slow():
    assert distinct_fps(np.zeros((10, 96, 96, 3), np.uint8)) == 25


def test_silence_is_a_share_of_the_frames(tmp_path):
    wav = loud(0, 50)
    wav[: len(wav) // 4] = 0.001
    store = made_store(tmp_path, {"a/one": (moving(0), wav)})
    assert measure_clip(store[0]).silent_share == pytest.approx(0.26, abs=0.1)


def test_the_same_recording_is_recognised_after_another_encoding(tmp_path):
    wav, rng = loud(0, 50), np.random.default_rng(9)
    again = (0.9 * wav + rng.normal(0, 0.002, len(wav))).astype(np.float32)
    clips = {
        "a/one": (moving(0), wav),
        "a/two": (moving(1), loud(1)),
        "b/again": (moving(2), again),
    }
    store = made_store(tmp_path, clips)
    stats = [measure_clip(clip) for clip in store]
    frames = np.array([row.frames for row in store.rows])
    pairs = find_duplicates(np.stack([clip.loudness for clip in stats]), frames)
    assert [(store.rows[a].id, store.rows[b].id) for a, b in pairs] == [("a_one.0", "b_again.0")]


def test_clips_of_other_lengths_or_of_constant_loudness_are_no_duplicates():
    loudness = np.zeros((4, 64))
    loudness[:2, 0] = 1.0
    assert find_duplicates(loudness, np.array([50, 60, 50, 50])) == []
    assert find_duplicates(loudness, np.array([50, 51, 50, 50])) == [(0, 1)]
