import numpy as np
import pytest

from avsync.data.sampling.crops import crops_for, cut_crop
from avsync.data.store.reader import PreparedClip
from avsync.faces.crops import cut_face, cut_mouth
from avsync.faces.mesh_regions import cut_region, region_from_points
from avsync.faces.tracking import TrackedFace
from avsync.tasks.input_spec import ClipSpec


def clip(head=None, mesh=None):
    face = np.zeros((3, 96, 96, 3), np.uint8)
    face[:, 48:] = 200
    none = np.zeros(3)
    return PreparedClip("a.0", "f/a.mp4", "f", 0, 0.0, 16000, face, face + 1, none, none, none,
                        none, head, mesh)  # fmt: skip


def spec(crop, height, width, lower_half=False):
    return ClipSpec(crop, height, width, 5, 0.0, 0.2, lower_half=lower_half)


def test_the_lower_half_of_the_face_has_the_height_of_the_spec():
    crops = crops_for(spec("face", 48, 96, lower_half=True), clip())
    assert crops.shape == (3, 48, 96, 3)
    assert (crops == 200).all()


def test_crops_are_resized_to_the_task():
    crops = crops_for(spec("mouth", 32, 32), clip())
    assert crops.shape == (3, 32, 32, 3)
    assert crops[0, 0, 0, 0] == 1 and crops[0, -1, 0, 0] == 201


def test_crops_of_the_right_size_are_not_copied():
    one = clip()
    assert np.shares_memory(crops_for(spec("face", 96, 96), one), one.face)


@pytest.mark.parametrize(("kind", "size"), [("head", 224), ("mesh", 256)])
def test_for_a_store_without_further_crops_the_command_is_named(kind, size):
    stored = np.zeros((3, size, size, 3))
    assert crops_for(spec(kind, size, size), clip(**{kind: stored})) is stored
    missing = rf"clip a\.0 has no {kind} crops.* prepare --crops {kind}"
    with pytest.raises(ValueError, match=missing):
        crops_for(spec(kind, size, size), clip())


def test_a_crop_of_an_image_equals_one_of_a_clip():
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    box = np.array([60.0, 50, 140, 150])
    points = box[:2] + np.array([[24, 40], [56, 40], [40, 60], [28, 80], [52, 80.0]])
    face = TrackedFace(0, box, points, 0.9)
    whole = cut_crop(spec("face", 96, 96), image, face)
    np.testing.assert_array_equal(whole, cut_face(image, box, 96))
    lips = cut_crop(spec("face", 48, 96, lower_half=True), image, face)
    np.testing.assert_array_equal(lips, whole[48:])
    np.testing.assert_array_equal(
        cut_crop(spec("mouth", 56, 56), image, face), cut_mouth(image, points, 56)
    )
    assert cut_crop(spec("head", 224, 224), image, face).shape == (224, 224, 3)
    region = cut_region(image, region_from_points(points))
    np.testing.assert_array_equal(cut_crop(spec("mesh", 256, 256), image, face), region)
    # Another size than the network's is the same region resized.
    halves = region.reshape(128, 2, 128, 2, 3).mean((1, 3))
    small = cut_crop(spec("mesh", 128, 128), image, face)
    np.testing.assert_allclose(small, halves, atol=0.51)
