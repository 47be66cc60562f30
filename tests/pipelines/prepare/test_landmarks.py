import numpy as np
import pytest
from pipelines.red_detector import RedDetector

from avsync.data.store.reader import Store
from avsync.faces.landmarks import MEAN_FACE, NUM_LANDMARKS, STABLE_LANDMARKS, TO_ALIGNED
from avsync.pipelines.prepare.landmarks import store_landmarks
from avsync.pipelines.prepare.prepare_store import prepare


class BoxLandmarker:
    """Puts the mean face into a face's box; point 8 moves with every frame.

    It finds no face in frames whose mean is brighter than `dark`.
    """

    name = "box"

    def __init__(self, dark=255.0):
        self.dark, self.seen = dark, []

    def __call__(self, image, face):
        self.seen.append(face.box)
        if image.mean() > self.dark:
            return None
        points = np.full((NUM_LANDMARKS, 2), 100.0)
        points[list(STABLE_LANDMARKS)] = MEAN_FACE
        points[8] = (112, 100 + len(self.seen))
        side = face.box[2] - face.box[0]
        return face.box[:2] + side / 224 * points


@pytest.fixture
def prepared(tmp_path, make_clip):
    (tmp_path / "anna").mkdir()
    make_clip("anna/one.mp4")
    make_clip("anna/two.mp4", flashes=())
    prepare(tmp_path / "anna", tmp_path / "store", detector=RedDetector(first=4))
    return Store(tmp_path / "store")


def landmarks(folder, clip):
    with np.load(folder / f"{clip}.npz") as arrays:
        return arrays["landmarks"]


def test_every_frame_of_a_clip_gets_landmarks(prepared, tmp_path):
    landmarker = BoxLandmarker()
    done = store_landmarks(prepared, tmp_path / "anna", tmp_path / "out", landmarker)
    one, two = prepared
    # The first face is found late: its frames begin there.
    assert done == [(one.id, one.source, 30, 30, ""), (two.id, two.source, 50, 50, "")]
    np.testing.assert_allclose(landmarker.seen[:30], one.boxes, atol=1e-3)
    found = landmarks(tmp_path / "out", one.id)
    assert found.shape == (30, NUM_LANDMARKS, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found[5, list(STABLE_LANDMARKS)], MEAN_FACE * TO_ALIGNED, atol=1e-3)
    np.testing.assert_allclose(found[:, 8, 1], (101 + np.arange(30)) * 128 / 244, atol=1e-3)


def test_frames_without_a_face_are_zeros(prepared, tmp_path):
    # A flash is a white frame.
    done = store_landmarks(prepared, tmp_path / "anna", tmp_path / "out", BoxLandmarker(dark=180))
    one = prepared[0]
    found = landmarks(tmp_path / "out", one.id)
    # It flashes 1.2 and 1.6 s from its beginning; the clip begins at 0.8 s.
    assert np.flatnonzero(~found.any((1, 2))).tolist() == [10, 20]
    assert done[0].found == 28


def test_existing_files_are_kept(prepared, tmp_path):
    (tmp_path / "out").mkdir()
    np.savez(tmp_path / "out" / f"{prepared[0].id}.npz", landmarks=np.ones(3))
    done = store_landmarks(prepared, tmp_path / "anna", tmp_path / "out", BoxLandmarker())
    assert [result.clip for result in done] == [prepared[1].id]
    assert landmarks(tmp_path / "out", prepared[0].id).shape == (3,)


def test_a_missing_video_is_a_problem_of_its_clips_only(prepared, tmp_path):
    (tmp_path / "anna" / "one.mp4").unlink()
    one, two = store_landmarks(prepared, tmp_path / "anna", tmp_path / "out", BoxLandmarker())
    assert one.problem.endswith("one.mp4 does not exist") and not one.found
    assert not (tmp_path / "out" / f"{one.clip}.npz").exists()
    assert (two.problem, two.found) == ("", 50)
