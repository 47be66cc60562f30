import numpy as np
import pytest
import torch

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.sync_pairs import SyncPairs
from avsync.tasks.input_spec import ClipSpec
from avsync.training.data.sync import ClipData, audio_of_frames
from avsync.training.data.sync_batches import Negatives, cut_audio_windows, pair_batches

FACE = ClipSpec("face", 96, 96, 5, -0.025, 0.2125)


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
def test_a_batch_is_what_pairs_of_that_moment_give(store, progress):
    far = Negatives(far=20, far_until=0.6)
    batches = pair_batches(ClipData((store.path,), batch=6), far, FACE, cut_audio_windows(5))
    frames, wav, labels = batches.at(progress)(np.random.default_rng(3), torch.Generator())
    pairs = SyncPairs(ClipWindows(store, [0, 1, 2], FACE), min_distance=20, curriculum_share=0.6)
    rng = np.random.default_rng(3)
    rng.choice(1, 6, p=[1.0])
    drawn = [pairs.draw(rng, progress) for _ in range(6)]
    assert labels.tolist() == [pair.label for pair in drawn]
    np.testing.assert_array_equal(wav, [pair.wav for pair in drawn])
    np.testing.assert_array_equal(frames.permute(0, 2, 3, 4, 1), [pair.frames for pair in drawn])


def test_the_sound_is_that_of_the_frames_or_all_that_is_heard():
    assert cut_audio_windows(25) == (0, 16000)
    assert audio_of_frames(FACE) == (-400, 3800)


def test_clips_shorter_than_asked_for_are_left_out(store):
    long = Negatives(least_frames=251)
    with pytest.raises(ValueError, match="clips must hold one of 251 frames or more"):
        pair_batches(ClipData((store.path,)), long, FACE, cut_audio_windows(5))


def test_windows_that_come_with_both_sounds_come_once(store):
    clips = ClipData((store.path,), batch=6)
    batches = pair_batches(clips, Negatives(both=True), FACE, cut_audio_windows(5))
    rng, draws = np.random.default_rng(0), torch.Generator()
    frames, wav, labels = batches.at(1.0)(rng, draws)
    assert len(frames) == 3 and len(wav) == 6
    assert labels.tolist() == [1, 0, 1, 0, 1, 0]
