import numpy as np
import pytest
from data.made_store import made_store, moving
from data.mixed import FRAMES, SAMPLES, SPEC, clips, faces_of, loudest_hz
from data.wav_files import tone

from avsync.data.cache.audio import AudioCache
from avsync.data.sampling.separation_targets import FaceSource, SeparationTargets
from avsync.tasks.separation.input_spec import SeparationSpec


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("faces"), clips())


def test_a_voice_has_the_sample_rate_of_the_task(store, tmp_path):
    faces = faces_of(store, tmp_path)
    found = [loudest_hz(faces.audio(k, 5, SAMPLES)) for k in range(3)]
    assert found == [400, 600, 800]
    start = round(5 * 16384 / 25)
    expected = 0.5 * np.sin(2 * np.pi * 600 * (start + np.arange(SAMPLES)) / 16384)
    np.testing.assert_allclose(faces.audio(1, 5, SAMPLES), expected, atol=1e-4)


def test_a_face_has_the_geometry_of_the_task(store, tmp_path):
    faces = faces_of(store, tmp_path)
    found = faces.frames(2, 3, FRAMES)
    np.testing.assert_array_equal(found, moving(800, 40)[3 : 3 + FRAMES, 48:])


def test_the_offset_of_a_store_is_taken_off(store, tmp_path):
    # The audio leads: what belongs to a frame comes before it.
    # No whole number of periods of the tone: a lead is not a lag.
    early, in_sync = faces_of(store, tmp_path, offset_ms=100.5), faces_of(store, tmp_path)
    lead = round(100.5 * 16.384)
    np.testing.assert_array_equal(early.audio(0, 5, 5000)[lead:], in_sync.audio(0, 5, 5000 - lead))


def test_clips_of_two_stores_must_have_different_names(store, tmp_path):
    with pytest.raises(ValueError, match="folders of different names"):
        sources = [FaceSource(store, [0]), FaceSource(store, [0])]
        SeparationTargets(sources, SPEC, AudioCache(tmp_path, 16384))


def test_the_sample_rate_of_the_source_does_not_matter(tmp_path):
    wav = tone(440, 1.6, 44100).astype(np.float32)
    arrays = clips() | {"anyone/440": (moving(1), wav)}
    slow = made_store(tmp_path / "slow", {"anyone/600": arrays["anyone/600"]})
    assert loudest_hz(faces_of(slow, tmp_path, indices=[0]).audio(0, 0, SAMPLES)) == 600
    quick = made_store(tmp_path / "quick", {"anyone/1": (moving(1, 40), wav)}, sample_rate=44100)
    assert loudest_hz(faces_of(quick, tmp_path, indices=[0]).audio(0, 0, SAMPLES)) == 440


def test_a_task_without_video_gets_no_frames(store, tmp_path):
    faces = faces_of(store, tmp_path, spec=SeparationSpec(SAMPLES, FRAMES))
    with pytest.raises(ValueError, match="looks at no frame"):
        faces.frames(0, 0, 5)


def test_landmarks_are_read_by_the_name_of_their_clip(store, tmp_path):
    points = np.arange(40 * 68 * 2).reshape(40, 68, 2)
    np.savez(tmp_path / "anyone_600.0.npz", landmarks=points)
    spec = SeparationSpec(SAMPLES, FRAMES, landmarks=True)
    cache = AudioCache(tmp_path, spec.sample_rate)
    faces = SeparationTargets([FaceSource(store, range(3))], spec, cache, tmp_path)
    np.testing.assert_array_equal(faces.landmarks(1, 7, 20), points[7:27])
    with pytest.raises(RuntimeError, match=r"anyone_400\.0\.npz is missing or damaged"):
        faces.landmarks(0, 0, 5)
    np.savez(tmp_path / "anyone_400.0.npz", landmarks=points[1:])
    with pytest.raises(RuntimeError, match=r"must be \(40, 68, 2\), got \(39, 68, 2\)"):
        faces.landmarks(0, 0, 5)
    np.savez(tmp_path / "anyone_400.0.npz", landmarks=np.full((40, 68, 2), np.nan))
    with pytest.raises(RuntimeError, match="must be zeros where none was found, not NaN"):
        faces.landmarks(0, 0, 5)
    (tmp_path / "anyone_800.0.npz").write_bytes(b"no archive")
    with pytest.raises(RuntimeError, match="is missing or damaged"):
        faces.landmarks(2, 0, 5)
    with pytest.raises(ValueError, match="say in which folder they are"):
        SeparationTargets([FaceSource(store, range(3))], spec, cache)
