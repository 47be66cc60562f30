import numpy as np
import pytest
from data.made_store import loud, made_store

from avsync.data.sampling.clip_windows import ClipWindows
from avsync.data.sampling.talking_frames import RUN_FRAMES, TalkingClips
from avsync.faces.crops import mouth_to_face_affine
from avsync.tasks.talking.generator import FACE_SPEC

FRAMES = 30


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Return clips whose frames have their index as brightness."""
    crops = np.zeros((FRAMES, 96, 96, 3), np.uint8)
    crops += np.arange(FRAMES, dtype=np.uint8)[:, None, None, None]
    clips = {
        "a/long": (crops, loud(0, FRAMES)),
        "a/short": (crops[:RUN_FRAMES], loud(1, RUN_FRAMES)),
    }
    store = made_store(tmp_path_factory.mktemp("talking"), clips)
    return ClipWindows(store, range(len(store)), FACE_SPEC)


def test_runs_of_frames_come_with_their_indices_and_the_whole_audio(windows):
    clips = TalkingClips(windows, runs=3, margin=4)
    assert len(clips) == 1
    seen = set()
    for seed in range(40):
        drawn = clips.draw(np.random.default_rng(seed))
        indices = drawn.pose_indices.reshape(3, RUN_FRAMES)
        assert (np.diff(indices, axis=1) == 1).all()
        assert (drawn.pose[:, 0, 0, 0] == drawn.pose_indices).all()
        seen |= set(indices[:, 0].tolist())
        identity = drawn.identity[:, 0, 0, 0].reshape(3, RUN_FRAMES).astype(int)
        assert (np.diff(identity, axis=1) == 1).all() and (identity != indices).all()
        assert np.array_equal(drawn.wav, windows.audio(drawn.clip, 0, FRAMES * 640))
    assert seen == set(range(4, FRAMES - RUN_FRAMES - 4 + 1))


def test_the_affine_of_a_mouth_follows_from_the_stored_box_and_points(windows):
    clips = TalkingClips(windows, runs=1)
    clip = clips.usable[0]
    found = clips.mouth_affines(clip, np.array([7, 3]))
    nothing = mouth_to_face_affine(np.zeros(4), np.zeros((5, 2)))
    np.testing.assert_allclose(found, np.stack([nothing, nothing]), rtol=1e-6)


def test_clips_that_are_too_short_are_named(windows):
    with pytest.raises(ValueError, match="clips must hold one of 35 frames or more, got 2 shorter"):
        TalkingClips(windows, runs=1, margin=15)
    with pytest.raises(ValueError, match="runs must be 1 or more and margin 0 or more, got 0 and"):
        TalkingClips(windows, runs=0)
