import numpy as np
import pytest
import torch
from evaluation.brightness import Brightness

from avsync.data.store.reader import PreparedClip
from avsync.evaluation.sync_accuracy import (
    Accuracy,
    ClipAccuracy,
    bootstrap_interval,
    measure_clips,
)
from avsync.scoring.decision import cannot_tell
from avsync.tasks.calibration import Calibration
from avsync.timing import SAMPLES_PER_FRAME

pytestmark = pytest.mark.arithmetic

FRAMES = 75


def clip(lead_frames, name="one", seed=0):
    level = np.random.default_rng(seed).uniform(0, 1, FRAMES)
    mouth = np.broadcast_to((255 * level)[:, None, None, None], (FRAMES, 96, 96, 3))
    wav = np.repeat(np.roll(level, -lead_frames), SAMPLES_PER_FRAME).astype(np.float32)
    zeros = np.zeros((FRAMES, 4))
    return PreparedClip(name, f"folder/{name}.mp4", "s", 0, 0.0, 16000, mouth.astype(np.uint8),
                        mouth.astype(np.uint8), zeros, zeros, wav, wav)  # fmt: skip


def measure(clips, truth_ms=0.0, **options):
    return measure_clips(Brightness(), clips, (5, 15), Calibration(), truth_ms, **options)


def test_a_clip_in_sync_is_right_everywhere_and_as_a_whole():
    accuracy = measure([clip(0), clip(0, "two", 1)])
    assert accuracy.within(5, 0) == 1
    assert accuracy.within(15, 1) == 1
    np.testing.assert_allclose(accuracy.errors_ms(), 0, atol=3)
    assert accuracy.clips_within(45) == 2


def test_the_true_offset_is_subtracted():
    shifted = [clip(4)]
    wrong, right = measure(shifted), measure(shifted, truth_ms=160.0)
    assert wrong.within(5, 1) < 0.2 < 0.9 < right.within(5, 1)
    np.testing.assert_allclose(wrong.errors_ms(), 160, atol=3)
    np.testing.assert_allclose(right.errors_ms(), 0, atol=3)


def test_windows_inside_the_words_are_counted_on_their_own():
    one = measure([clip(0)], words={"one": (1.0, 2.0)}).clips[0]
    starts = one.inside.nonzero().flatten()
    assert (int(starts[0]), int(starts[-1])) == (25, 45)
    assert len(one.inside) == FRAMES - 5
    # 15 frames average 11 windows, 5 to either side.
    assert one.touching[15].nonzero().flatten().tolist() == list(range(20, 51))
    assert one.touching[5].equal(one.inside)


def test_windows_away_from_the_ends_have_all_31_candidates():
    decision = cannot_tell("no_match")
    errors = torch.full((40,), 9)
    errors[15:25] = 0
    right_inside = ClipAccuracy("a", {5: errors}, None, {}, decision, None, None)
    short = ClipAccuracy("b", {5: torch.zeros(30)}, None, {}, decision, None, None)
    assert Accuracy((right_inside, short)).shares(5, 1, "away from the ends") == [1.0]
    assert Accuracy((right_inside,)).within(5, 1) == 0.25


def test_accuracy_is_the_mean_of_clips_not_of_windows():
    decision = cannot_tell("no_match")
    long = ClipAccuracy("a", {5: torch.zeros(90)}, None, {}, decision, None, None)
    short = ClipAccuracy("b", {5: torch.full((10,), 9)}, None, {}, decision, None, None)
    assert Accuracy((long, short)).within(5, 1) == 0.5
    assert len(Accuracy((long, short)).errors_ms()) == 0


def test_the_bootstrap_interval_of_more_clips_is_narrower():
    fewer = bootstrap_interval([0.0, 1.0] * 5)
    more = bootstrap_interval([0.0, 1.0] * 500)
    assert fewer[0] < more[0] < 0.5 < more[1] < fewer[1]
    assert bootstrap_interval([0.7] * 9) == pytest.approx((0.7, 0.7))
