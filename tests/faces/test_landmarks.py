import sys
from pathlib import Path

import numpy as np
import pytest

from avsync.faces.detector import YuNetDetector
from avsync.faces.landmarks import (
    MEAN_FACE,
    MESH_TO_68,
    MODEL_VARIABLE,
    NUM_LANDMARKS,
    STABLE_LANDMARKS,
    TO_ALIGNED,
    MediaPipeLandmarker,
    align_to_mean_face,
    crop_around,
    locate_landmarker_model,
)
from avsync.media.video_reader import at_rate, read_frames

LANDMARKER = Path("models") / "face_landmarker.task"


def face(seed=0):
    """Return landmarks `(68, 2)` whose nose and eyes are the mean face's."""
    points = np.random.default_rng(seed).uniform(0, 224, (NUM_LANDMARKS, 2))
    points[list(STABLE_LANDMARKS)] = MEAN_FACE
    return points


def moved(points, degrees=25.0, scale=3.0, shift=(400, -30)):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


def test_a_face_like_the_mean_face_is_only_scaled():
    points = face()
    points[62] = (112, 122)
    (aligned,) = align_to_mean_face(points[None])
    np.testing.assert_allclose(aligned, points * TO_ALIGNED, atol=1e-4)
    np.testing.assert_allclose(aligned[62], (48, 64), atol=1e-4)
    assert aligned.dtype == np.float32


@pytest.mark.parametrize("change", [{"degrees": -140}, {"scale": 0.1}, {"shift": (-1e4, 1e4)}, {}])
def test_position_and_size_of_a_face_do_not_matter(change):
    points = face() + np.random.default_rng(1).normal(0, 4, (NUM_LANDMARKS, 2))
    both = align_to_mean_face(np.stack([points, moved(points, **change)]))
    np.testing.assert_allclose(both[0], both[1], atol=1e-3)


def test_alignment_is_the_least_squares_similarity():
    # Against a generic least-squares solution for (a, b, tx, ty) of x' = a x - b y + tx, and so on.
    points = moved(face() + np.random.default_rng(1).normal(0, 9, (NUM_LANDMARKS, 2)))
    x, y = points[list(STABLE_LANDMARKS)].T
    one, zero = np.ones(5), np.zeros(5)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, tx, ty = np.linalg.lstsq(rows, MEAN_FACE.T.ravel())[0]
    expected = (points @ np.array([[a, b], [-b, a]]) + (tx, ty)) * TO_ALIGNED
    np.testing.assert_allclose(align_to_mean_face(points[None])[0], expected, atol=1e-3)


def test_a_mirrored_face_stays_mirrored():
    mirrored = face() * (-1, 1)
    aligned = align_to_mean_face(mirrored[None])[0]
    assert np.abs(aligned[list(STABLE_LANDMARKS)] - MEAN_FACE * TO_ALIGNED).max() > 20


def test_a_frame_without_a_face_is_zeros_and_its_neighbours_stay():
    points = np.stack([face(), np.full((NUM_LANDMARKS, 2), np.nan), face(2)])
    aligned = align_to_mean_face(points)
    assert not aligned[1].any()
    np.testing.assert_array_equal(aligned[[0, 2]], align_to_mean_face(points[[0, 2]]))


def test_points_that_cannot_be_aligned_are_refused():
    with pytest.raises(ValueError, match=r"points must be \(T, 68, 2\), got \(68, 2\)"):
        align_to_mean_face(face())
    with pytest.raises(ValueError, match="must not all coincide"):
        align_to_mean_face(np.zeros((1, NUM_LANDMARKS, 2)))


def test_the_mesh_indices_are_68_different_ones():
    assert len(set(MESH_TO_68)) == len(MESH_TO_68) == NUM_LANDMARKS
    assert max(MESH_TO_68) < 478


def test_the_crop_is_centred_on_the_face():
    image = np.arange(100 * 80 * 3, dtype=np.uint32).reshape(100, 80, 3).astype(np.uint8)
    around, corner = crop_around(image, np.array([30.0, 40, 50, 56]))
    assert around.shape == (40, 40, 3) and corner.tolist() == [20, 28]
    np.testing.assert_array_equal(around, image[28:68, 20:60])


def test_edges_are_repeated_around_a_face_at_the_edge():
    image = np.zeros((50, 60, 3), np.uint8)
    image[:, 0], image[:, -1] = 10, 20
    around, corner = crop_around(image, np.array([-10.0, 0, 10, 20]))
    assert around.shape == (40, 40, 3) and corner.tolist() == [-20, -10]
    assert (around[:, :21] == 10).all() and not around[:, 21:].any()


def test_without_mediapipe_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(RuntimeError, match=r"pip install 'avsync\[landmarks\]'"):
        MediaPipeLandmarker("face_landmarker.task")


def test_a_missing_model_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "none.task"))
    with pytest.raises(RuntimeError, match=r"AVSYNC_FACE_LANDMARKER names .*none\.task, "):
        locate_landmarker_model()


def test_a_file_that_is_not_the_model_is_refused(tmp_path):
    pytest.importorskip("mediapipe")
    (tmp_path / "broken.task").write_bytes(b"no model")
    with pytest.raises(RuntimeError, match=r"broken.task is not MediaPipe's face landmarker"):
        MediaPipeLandmarker(tmp_path / "broken.task")
    with pytest.raises(RuntimeError, match="no face landmarker at"):
        MediaPipeLandmarker(tmp_path / "none.task")


@pytest.mark.real_data
def test_a_real_face_aligns_with_the_mean_face(shared):
    pytest.importorskip("mediapipe")
    tick = next(at_rate(read_frames(shared / "data" / "grid_s1" / "bbaf2n.mkv")))
    found = YuNetDetector(shared / "models" / "yunet_n_320_320.onnx")(tick.image)[0]
    with MediaPipeLandmarker(shared / LANDMARKER) as landmarker:
        points = landmarker(tick.image, found)
        assert landmarker(np.zeros_like(tick.image), found) is None
    # The detector's eyes, nose and mouth corners are close to these.
    ours = [points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]
    assert np.abs(np.array(ours) - found.points).max() < 0.12 * (found.box[2] - found.box[0])
    aligned = align_to_mean_face(points[None])[0]
    assert np.abs(aligned[list(STABLE_LANDMARKS)] - MEAN_FACE * TO_ALIGNED).max() < 4
    # The mouth of the mean face is at x 34.6 to 67.4, y 77.6 to 102.9.
    assert 30 < aligned[48, 0] < 42 < 56 < aligned[54, 0] < 70
    assert 70 < aligned[48:, 1].min() < aligned[48:, 1].max() < 108
