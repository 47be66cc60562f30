from pathlib import Path

import cv2
import numpy as np
import pytest

from avsync.faces.detector import (
    YUNET_FILE,
    YUNET_SHA256,
    YUNET_VARIABLE,
    HaarDetector,
    YuNetDetector,
    face_in_square,
    find_detector,
    locate_yunet_model,
    scale_down,
)
from avsync.faces.tracking import iou
from avsync.media.video_reader import read_frames
from avsync.synthetic.lips import MouthPose
from avsync.synthetic.scene import Scene
from avsync.weights import PRETRAINED


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    """Use the model in the package, whatever the environment names."""
    monkeypatch.delenv(YUNET_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def yunet() -> YuNetDetector:
    return YuNetDetector(PRETRAINED / YUNET_FILE)


def frames_of(folder: Path, step: int) -> list[np.ndarray]:
    """Return one frame from the middle of every `step`-th clip."""
    images = []
    for clip in sorted(folder.iterdir())[::step]:
        images.append(next(f.image for i, f in enumerate(read_frames(clip)) if i == 20))
    return images


@pytest.fixture(scope="module")
def people(shared) -> list[np.ndarray]:
    data = shared / "data"
    sets = (("grid_s1", 250), ("grid_other_speakers", 2), ("wild_lrs3", 2))
    return [image for name, step in sets for image in frames_of(data / name, step)]


@pytest.mark.real_data
def test_yunet_finds_the_one_face_in_every_frame(yunet, people):
    found = [yunet(image) for image in people]
    assert [len(faces) for faces in found] == [1] * len(people)
    for face in (faces[0] for faces in found):
        left_eye, right_eye, nose, left_mouth, right_mouth = face.points
        assert left_eye[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        inside = (face.points > face.box[:2]) & (face.points < face.box[2:])
        assert inside.all()
        assert 0.6 < face.score <= 1


@pytest.mark.real_data
def test_haar_returns_the_same_boxes_and_points_as_yunet(yunet, people):
    haar = HaarDetector()
    hits, extras, mouth_errors = 0, 0, []
    for image in people:
        truth = yunet(image)[0]
        found = haar(image)
        same = [face for face in found if iou(face.box, truth.box) > 0.5]
        extras += len(found) - len(same)
        hits += bool(same)
        if same:
            error = same[0].points[3:].mean(0) - truth.points[3:].mean(0)
            mouth_errors.append(np.hypot(*error) / (truth.box[3] - truth.box[1]))
    assert hits >= 0.8 * len(people)
    assert extras == 0
    assert np.median(mouth_errors) < 0.05


@pytest.mark.real_data
def test_a_face_is_found_at_any_image_size(yunet, people):
    face = yunet(people[0])[0]
    for factor in (0.5, 2.0, 4.0):
        image = cv2.resize(people[0], None, fx=factor, fy=factor)
        found = yunet(image)[0]
        assert iou(found.box / factor, face.box) > 0.8
        np.testing.assert_allclose(found.points / factor, face.points, atol=6)


@pytest.mark.real_data
def test_a_small_face_in_a_large_image_is_found(yunet, people):
    small = cv2.resize(people[0], None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    image = np.full((1080, 1920, 3), 90, np.uint8)
    image[700 : 700 + small.shape[0], 900 : 900 + small.shape[1]] = small
    assert len(yunet(image)) == 1


@pytest.mark.parametrize("texture", range(3))
def test_haar_finds_no_face_in_noise(texture):
    rough = np.random.default_rng(texture).integers(0, 256, (23 << texture, 40 << texture, 3))
    image = cv2.resize(rough.astype(np.uint8), (640, 360), interpolation=cv2.INTER_CUBIC)
    assert HaarDetector()(image) == []


def test_the_face_in_a_square_moves_and_grows_with_it():
    small = face_in_square(np.array([0.0, 0, 1, 1]), 5)
    big = face_in_square(np.array([10.0, 20, 100, 100]), 5)
    np.testing.assert_allclose(big.points, 100 * small.points + [10, 20])
    np.testing.assert_allclose(big.box, 100 * small.box + [10, 20, 10, 20])
    assert face_in_square(np.ones(4), 50).score > small.score


def test_the_model_is_taken_from_the_environment_variable(monkeypatch, tmp_path):
    model = tmp_path / "my.onnx"
    monkeypatch.setenv(YUNET_VARIABLE, str(model))
    with pytest.raises(RuntimeError, match=r"AVSYNC_YUNET names .*my\.onnx, which is no file"):
        locate_yunet_model()
    model.write_bytes(b"something")
    assert locate_yunet_model() == model
    with pytest.raises(RuntimeError, match=r"my\.onnx is not the YuNet model"):
        YuNetDetector()


@pytest.mark.parametrize("name", [None, "yunet"])
def test_the_shipped_yunet_is_the_default_without_network_or_warning(name, monkeypatch, recwarn):
    monkeypatch.setattr("socket.socket", lambda *a, **k: pytest.fail("the network was used"))
    found = find_detector(name)
    assert found.name == "yunet"
    image = Scene(3, 1, 360, 288).render(0, 0.0, (MouthPose(5, 6, 0, 0, 0, 0, 0),))
    (face,) = found(image.image)
    assert iou(face.box, image.boxes[0]) > 0.5
    assert not recwarn.list


@pytest.mark.parametrize("name", [None, "yunet"])
def test_a_wrong_file_in_the_environment_is_not_replaced_by_another_detector(name, monkeypatch):
    monkeypatch.setenv(YUNET_VARIABLE, "gone.onnx")
    with pytest.raises(RuntimeError, match=r"AVSYNC_YUNET names gone\.onnx, which is no file"):
        find_detector(name)


def test_a_damaged_or_missing_shipped_model_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("avsync.faces.detector.PRETRAINED", tmp_path)
    with pytest.raises(RuntimeError, match=rf"no face detector .*{YUNET_FILE}: reinstall avsync"):
        find_detector()
    data = bytearray((PRETRAINED / YUNET_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / YUNET_FILE).write_bytes(data)
    with pytest.raises(RuntimeError, match=r"is damaged: sha256 .*; reinstall avsync"):
        find_detector()


def test_the_licence_and_source_of_yunet_are_beside_it():
    text = (PRETRAINED / YUNET_FILE).with_suffix(".LICENSE").read_text(encoding="utf-8")
    for part in ("libfacedetection.train", YUNET_SHA256, "Copyright 2018-2022 OpenMMLab"):
        assert part in text
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text


def test_an_unknown_detector_lists_the_names():
    with pytest.raises(ValueError, match="detector must be one of yunet, haar, got 'dlib'"):
        find_detector("dlib")


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"no YuNet model at .*gone\.onnx"):
        YuNetDetector(tmp_path / "gone.onnx")


def test_arrays_that_are_not_images_are_refused():
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) uint8, got \(4, 4\) uint8"):
        HaarDetector()(np.zeros((4, 4), np.uint8))


def test_scaling_down_keeps_the_shape_and_never_enlarges():
    image = np.zeros((1080, 1920, 3), np.uint8)
    small, scale = scale_down(image, 320 * 180)
    assert small.shape == (180, 320, 3) and scale == pytest.approx(1 / 6)
    assert scale_down(small, 320 * 181)[0] is small
