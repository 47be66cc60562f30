import numpy as np
import pytest

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.sync_sequences import SyncSequences
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import SAMPLES_PER_FRAME

FACE = ClipSpec("face", 96, 96, 5, -0.1, 0.3)


def test_the_audio_reaches_from_the_first_window_to_the_last(store):
    sequences = SyncSequences(ClipWindows(store, [0], FACE), 10, 5, -1600, 6400)
    rng = np.random.default_rng(0)
    for _ in range(20):
        frames, wav = sequences.draw(rng)
        assert frames.shape == (14, 96, 96, 3)
        start = next(k for k in range(40) if np.array_equal(store[0].face[k : k + 14], frames))
        first = start * SAMPLES_PER_FRAME - 1600
        np.testing.assert_array_equal(wav, store[0].wav_16k[first:][: 9 * 640 + 6400])


def test_every_start_that_fits_is_drawn(store):
    sequences = SyncSequences(ClipWindows(store, [0], FACE), 30, 5, 0, 3200)
    rng = np.random.default_rng(0)
    wavs = {sequences.draw(rng).wav.tobytes() for _ in range(100)}
    assert len(wavs) == 40 - 34 + 1


def test_clips_that_are_too_short_are_named(store):
    clips = ClipWindows(store, [0, 1, 2], FACE)
    with pytest.raises(ValueError, match="leaves 41 frames with their audio, got 3 shorter"):
        SyncSequences(clips, 37, 5, 0, 3200)
    with pytest.raises(ValueError, match="windows must be 2 or more"):
        SyncSequences(clips, 1, 5, 0, 3200)
