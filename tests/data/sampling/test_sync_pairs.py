import shutil
from itertools import chain

import numpy as np
import pytest

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.sync_pairs import LOUD, SyncPairs, distant_starts, rms
from avsync.data.store.reader import Store
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME

LIPS = ClipSpec("face", 48, 96, 5, 0.0, 0.2, lower_half=True)


def numbered(store, tmp_path, wav=None):
    """Copy the store, with frame k of brightness k, and each sample the index of its frame."""
    path = tmp_path / "numbered"
    shutil.copytree(store.path, path)
    for row in store.rows:
        folder = path / "clips" / row.id.rpartition(".")[0] / "0"
        frames = np.load(folder / "face.npy")
        frames[:] = np.arange(len(frames))[:, None, None, None]
        np.save(folder / "face.npy", frames)
        audio = np.repeat(np.arange(len(frames)), SAMPLES_PER_FRAME).astype(np.float32)
        np.save(folder / "wav_16k.npy", audio if wav is None else wav(audio))
    return Store(path)


def draw_many(pairs, count=400, progress=1.0):
    rng = np.random.default_rng(0)
    return [pairs.draw(rng, progress) for _ in range(count)]


def starts_of(pair):
    return int(pair.frames[0, 0, 0, 0]), int(pair.wav[0])


@pytest.mark.parametrize("context", [5, 10, 25])
def test_right_audio_starts_with_its_frame_and_wrong_audio_elsewhere(store, tmp_path, context):
    clips = ClipWindows(numbered(store, tmp_path), [0, 1, 2], LIPS)
    samples = context * SAMPLES_PER_FRAME
    drawn = draw_many(SyncPairs(clips, context, samples=samples))
    seen = set()
    for pair in drawn:
        assert pair.frames.shape == (context, 48, 96, 3) and pair.wav.shape == (samples,)
        frame, audio = starts_of(pair)
        assert (frame == audio) == (pair.label == 1.0)
        assert pair.wav[-1] == audio + context - 1
        seen |= {frame, audio}
    # The first and the last start in the clip are both drawn, and nothing beyond.
    assert (min(seen), max(seen)) == (0, 40 - context)
    assert 0.4 < np.mean([pair.label for pair in drawn]) < 0.6
    wrong = [abs(a - b) for a, b in map(starts_of, drawn) if a != b]
    assert min(wrong) == 1


def test_wrong_windows_come_nearer_during_training(store, tmp_path):
    clips = ClipWindows(numbered(store, tmp_path), [0, 1, 2], LIPS)
    pairs = SyncPairs(clips, min_distance=9, curriculum_share=0.5)
    assert [pairs.distance(p) for p in (0.0, 0.25, 0.5, 1.0)] == [9, 5, 1, 1]
    for progress in (0.0, 0.25, 0.5):
        drawn = draw_many(pairs, 500, progress)
        wrong = [abs(a - b) for a, b in map(starts_of, drawn) if a != b]
        assert min(wrong) == pairs.distance(progress)


def test_a_clip_too_short_for_the_distance_gives_its_most_distant_start():
    def starts(*arguments, distance):
        return [*chain(*distant_starts(*arguments, distance))]

    assert starts(range(0, 10), 4, distance=1) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert starts(range(0, 10), 4, distance=3) == [0, 1, 7, 8, 9]
    assert starts(range(0, 10), 4, distance=9) == [9]
    assert starts(range(3, 6), 4, distance=30) == [3, 5]


def test_where_the_right_audio_is_silent_the_wrong_audio_is_loud(store, tmp_path):
    # Loud in frames 20 to 24 only.
    def mostly_silent(audio):
        return np.where((audio >= 20) & (audio < 25), 0.5, 0.001).astype(np.float32)

    clips = ClipWindows(numbered(store, tmp_path, mostly_silent), [0, 1, 2], LIPS)
    drawn = draw_many(SyncPairs(clips))
    right = [pair for pair in drawn if pair.label == 1]
    assert any(rms(pair.wav) <= LOUD for pair in right)
    for pair in drawn:
        if pair.label == 0 and not 16 <= pair.frames[0, 0, 0, 0] <= 24:
            assert rms(pair.wav) > LOUD


def test_a_silent_store_is_reported(store, tmp_path):
    clips = ClipWindows(numbered(store, tmp_path, np.zeros_like), [0, 1, 2], LIPS)
    with pytest.raises(RuntimeError, match="drawn in a row are silent"):
        draw_many(SyncPairs(clips))


def test_short_clips_are_left_out(store):
    clips = ClipWindows(store, [0, 1, 2], LIPS)
    assert len(SyncPairs(clips, min_clip_frames=40)) == 3
    with pytest.raises(ValueError, match="clips must hold one of 41 frames or more, got 3"):
        SyncPairs(clips, min_clip_frames=41)
    with pytest.raises(ValueError, match="clips must hold one of 41 frames or more"):
        SyncPairs(clips, frames=40, samples=40 * SAMPLES_PER_FRAME)


def test_the_same_draws_give_the_same_pairs(store):
    pairs = SyncPairs(ClipWindows(store, [0, 1, 2], LIPS))
    for one, other in zip(draw_many(pairs, 9), draw_many(pairs, 9), strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)
        np.testing.assert_array_equal(one.wav, other.wav)
        assert one.label == other.label


def test_right_and_wrong_audio_of_a_window_share_its_frames(store, tmp_path):
    clips = ClipWindows(numbered(store, tmp_path), [0, 1, 2], LIPS)
    pairs, rng = SyncPairs(clips), np.random.default_rng(0)
    for _ in range(50):
        right, wrong = pairs.draw_both(rng)
        assert (right.label, wrong.label) == (1.0, 0.0)
        assert starts_of(right)[0] == starts_of(right)[1] == starts_of(wrong)[0]
        assert starts_of(wrong)[1] != starts_of(wrong)[0]
