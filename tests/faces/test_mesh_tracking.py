"""Tracking the mesh of a face that moves through an image."""

import cv2
import numpy as np
import pytest
from golden.face_mesh import drawn_face

from avsync.encoders.pretrained.face_mesh import load_face_mesh
from avsync.faces.mesh_tracking import mesh_of_crops, track_mesh

FACE = np.rint(drawn_face() * 255).astype(np.uint8)
# The five points of the drawn face, and the indices of irises and lip corners in the mesh.
POINTS = np.array([[95.0, 110], [161, 110], [128, 155], [98, 188], [158, 188]])
NAMED = [468, 473, 61, 291]
GREY = 128


@pytest.fixture(scope="module")
def mesh():
    return load_face_mesh()


def moved(degrees, scale, shift):
    """The drawn face elsewhere in an image of 480 by 360 pixels, with its points."""
    affine = cv2.getRotationMatrix2D((128, 128), -degrees, scale)
    affine[:, 2] += shift
    image = cv2.warpAffine(FACE, affine, (480, 360), borderValue=(GREY,) * 3)
    return image, POINTS @ affine[:, :2].T + affine[:, 2]


FRAMES = [moved(2.0 * t, 0.8 + 0.02 * t, (40 + 5 * t, 60 - 2 * t)) for t in range(10)]


def test_the_mesh_follows_the_face(mesh):
    for (_, points), found in zip(FRAMES, track_mesh(FRAMES, mesh, 4), strict=True):
        assert found.shape == (478, 3)
        drawn = points[[0, 1, 3, 4]]
        eyes = np.hypot(*(points[1] - points[0]))
        assert np.abs(found[NAMED, :2] - drawn).max() < 0.12 * eyes


def test_the_length_of_the_blocks_hardly_matters(mesh):
    one, four, all_at_once = (np.stack(list(track_mesh(FRAMES, mesh, n))) for n in (1, 4, 100))
    eyes = 66 * 0.9
    assert np.median(np.abs(one - four)) < 0.02 * eyes > np.median(np.abs(four - all_at_once))


def test_a_frame_without_the_face_has_no_mesh_and_the_next_one_has(mesh):
    empty = np.full_like(FRAMES[0][0], GREY)
    frames = [FRAMES[0], (empty, FRAMES[0][1]), (empty, FRAMES[0][1]), *FRAMES[:2]]
    found = [result is not None for result in track_mesh(frames, mesh, 2)]
    assert found == [True, False, False, True, True]
    assert list(track_mesh([(empty, POINTS)] * 3, mesh)) == [None] * 3


def test_no_more_than_a_block_is_read_ahead(mesh):
    seen = []
    meshes = track_mesh((seen.append(frame) or frame for frame in FRAMES), mesh, 3)
    lengths = []
    for _ in meshes:
        lengths.append(len(seen))
    assert lengths == [1, 4, 4, 4, 7, 7, 7, 10, 10, 10]


def test_crops_come_back_in_order(mesh):
    found = mesh_of_crops(mesh, [FACE, np.zeros_like(FACE)])
    assert found.points.shape == (2, 478, 3) and found.presence[0] > 0.9 > 0.1 > found.presence[1]
    np.testing.assert_allclose(found.points[0, NAMED, :2], POINTS[[0, 1, 3, 4]], atol=8)


def test_no_frames_give_nothing_and_empty_blocks_are_refused(mesh):
    assert list(track_mesh([], mesh)) == []
    with pytest.raises(ValueError, match="block_frames must be at least 1, got 0"):
        next(track_mesh(FRAMES, mesh, 0))
