import numpy as np
import pytest
from golden.face_mesh import drawn_face

from avsync.faces.crops import Face
from avsync.faces.detector import YuNetDetector
from avsync.faces.landmarks import (
    MEAN_FACE,
    MESH_TO_68,
    NUM_LANDMARKS,
    STABLE_LANDMARKS,
    TO_ALIGNED,
    MeshLandmarker,
    align_to_mean_face,
)
from avsync.media.video_reader import at_rate, read_frames


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


def drawn():
    """An image of 400 by 300 pixels with the drawn face at (100, 30), and the face in it."""
    image = np.full((300, 400, 3), 128, np.uint8)
    image[30:286, 100:356] = np.rint(drawn_face() * 255)
    points = np.array([[195.0, 140], [261, 140], [228, 185], [198, 218], [258, 218]])
    return image, Face(np.array([152.0, 62, 304, 262]), points, 1.0)


def test_the_landmarks_of_a_drawn_face_lie_on_its_eyes_and_lips():
    image, face = drawn()
    points = MeshLandmarker()(image, face)
    assert points.shape == (NUM_LANDMARKS, 2)
    found = [points[36:42].mean(0), points[42:48].mean(0), points[48], points[54]]
    np.testing.assert_allclose(found, face.points[[0, 1, 3, 4]], atol=8)
    assert points[8, 1] > points[57, 1] > points[33, 1] > points[27, 1]


def test_where_there_is_no_face_there_are_no_landmarks():
    image, face = drawn()
    assert MeshLandmarker()(np.full_like(image, 128), face) is None


@pytest.mark.real_data
def test_a_real_face_aligns_with_the_mean_face(shared):
    tick = next(at_rate(read_frames(shared / "data" / "grid_s1" / "bbaf2n.mkv")))
    found = YuNetDetector(shared / "models" / "yunet_n_320_320.onnx")(tick.image)[0]
    points = MeshLandmarker()(tick.image, found)
    # The detector's eyes, nose and mouth corners are close to these.
    ours = [points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]
    assert np.abs(np.array(ours) - found.points).max() < 0.12 * (found.box[2] - found.box[0])
    aligned = align_to_mean_face(points[None])[0]
    assert np.abs(aligned[list(STABLE_LANDMARKS)] - MEAN_FACE * TO_ALIGNED).max() < 4
    # The mouth of the mean face is at x 34.6 to 67.4, y 77.6 to 102.9.
    assert 30 < aligned[48, 0] < 42 < 56 < aligned[54, 0] < 70
    assert 70 < aligned[48:, 1].min() < aligned[48:, 1].max() < 108
