import cv2
import numpy as np
import pytest

from avsync.faces.crops import (
    PADDING_GREY,
    cut_face,
    cut_head,
    cut_mouth,
    mouth_square,
    mouth_to_face_affine,
    s3fd_box,
)
from avsync.faces.detector import YuNetDetector
from avsync.media.video_reader import read_frames

# Eyes, nose and mouth corners of a face of 60 pixels between the eyes.
POINTS = np.array([[120.0, 90], [180, 90], [150, 125], [130, 155], [170, 155]])


def gradient(height: int = 240, width: int = 320) -> np.ndarray:
    """Red grows to the right and green downwards, so a crop shows where it was taken."""
    x, y = np.meshgrid(np.arange(width) * 255 / width, np.arange(height) * 255 / height)
    return np.stack([x, y, 0 * x], axis=-1).round().astype(np.uint8)


def test_the_reference_box_is_close_to_the_detectors():
    np.testing.assert_allclose(s3fd_box(np.array([50.0, 100, 150, 300])), [50, 98.8, 150, 300.8])


def test_a_face_crop_is_the_box_resized_to_a_square():
    crop = cut_face(gradient(), np.array([80.0, 60, 180, 220]), 96).astype(float)
    box = s3fd_box(np.array([80.0, 60, 180, 220]))
    for k in (0, 40, 95):
        x = box[0] + (k + 0.5) * (box[2] - box[0]) / 96 - 0.5
        y = box[1] + (k + 0.5) * (box[3] - box[1]) / 96 - 0.5
        assert crop[48, k, 0] == pytest.approx(x * 255 / 320, abs=1.1)
        assert crop[k, 48, 1] == pytest.approx(y * 255 / 240, abs=1.1)


def test_a_face_crop_matches_slicing_and_resizing():
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 4
    )
    box = np.array([64.0, 40, 160, 200])
    x0, y0, x1, y1 = s3fd_box(box).round().astype(int)
    sliced = cv2.resize(image[y0:y1, x0:x1], (96, 96), interpolation=cv2.INTER_LINEAR)
    assert np.abs(cut_face(image, box, 96).astype(int) - sliced).mean() < 1.5


def test_a_face_beyond_the_edge_repeats_the_edge():
    crop = cut_face(np.full((100, 100, 3), 200, np.uint8), np.array([-40.0, -50, 60, 70]), 96)
    assert (crop == 200).all()


@pytest.mark.parametrize("size", [48, 96, 224])
def test_crops_of_any_size_show_the_same_region(size):
    box = np.array([80.0, 60, 180, 220])
    crop, big = cut_face(gradient(), box, size), cut_face(gradient(), box, 96)
    assert crop.shape == (size, size, 3)
    assert np.abs(crop.mean(axis=(0, 1)) - big.mean(axis=(0, 1))).max() < 1


def test_fine_detail_is_averaged_not_sampled():
    board = np.indices((800, 800)).sum(0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=-1).astype(np.uint8)
    crop = cut_face(image, np.array([0.0, 0, 768, 768]), 96)
    assert np.abs(crop[8:-8, 8:-8].astype(int) - 127).max() < 40


def test_a_mouth_crop_is_centred_on_the_mouth():
    centre, side, roll = mouth_square(POINTS)
    np.testing.assert_allclose(centre, [150, 155])
    assert side == pytest.approx(1.7 * 65) and roll == 0
    middle = cut_mouth(gradient(), POINTS, 96)[47:49, 47:49].mean(axis=(0, 1))
    np.testing.assert_allclose(middle[:2], [150 * 255 / 320, 155 * 255 / 240], atol=1.5)


@pytest.mark.parametrize("degrees", [0, -20, 15])
def test_the_affine_map_finds_the_mouth_crop_in_the_face_crop(degrees):
    image, box = gradient(), np.array([80.0, 60, 216, 214])
    turn = cv2.getRotationMatrix2D((150, 130), -degrees, 1)
    points = cv2.transform(POINTS[None], turn)[0]
    face, mouth = cut_face(image, box, 96), cut_mouth(image, points, 96)
    size = np.arange(96)
    x, y = np.meshgrid((2 * size + 1) / 96 - 1, (2 * size + 1) / 96 - 1)
    at = np.stack([x, y, np.ones_like(x)], axis=-1) @ mouth_to_face_affine(box, points).T
    inside = (np.abs(at) < 0.98).all(-1)
    assert inside.mean() > 0.5
    pixels = (((at + 1) * 96 - 1) / 2).astype(np.float32)
    again = cv2.remap(face, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
    # Two roundings of red and green, which grow by 0.8 and 1.1 a pixel.
    assert np.abs(again[inside].astype(int) - mouth[inside]).max() <= 2


@pytest.mark.parametrize("degrees", [-30, 15, 40])
def test_a_mouth_crop_is_upright_whatever_the_roll(degrees):
    image = np.full((300, 300, 3), 60, np.uint8)
    for x, y in POINTS:
        cv2.circle(image, (int(x), int(y)), 6, (250, 200, 150), -1)
    turn = cv2.getRotationMatrix2D((150.0, 150.0), degrees, 1.0)
    turned = cv2.warpAffine(image, turn, (300, 300), borderValue=(60, 60, 60))
    points = POINTS @ turn[:, :2].T + turn[:, 2]
    upright, levelled = cut_mouth(image, POINTS, 96), cut_mouth(turned, points, 96)
    assert np.abs(upright.astype(int) - levelled).mean() < 4


def test_a_mouth_beyond_the_edge_is_padded_with_grey():
    crop = cut_mouth(np.zeros((160, 320, 3), np.uint8), POINTS, 96)
    assert (crop[-10:] == PADDING_GREY).all()


def reference_head(image, box, size):
    """Crop as the SyncNet pipeline does: slices of an image with a grey border, then resized."""
    x0, y0, x1, y1 = s3fd_box(box)
    bs = max(x1 - x0, y1 - y0) / 2
    border = int(bs * 1.8)
    padded = np.pad(image, ((border,) * 2, (border,) * 2, (0, 0)), constant_values=110)
    my, mx = (y0 + y1) / 2 + border, (x0 + x1) / 2 + border
    rows = slice(round(my - bs), round(my + 1.8 * bs))
    columns = slice(round(mx - 1.4 * bs), round(mx + 1.4 * bs))
    return cv2.resize(padded[rows, columns], (size, size), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("box", [(90, 60, 190, 160), (100, 50, 160, 150), (-20, 120, 60, 230)])
def test_a_head_crop_matches_the_syncnet_pipeline(box):
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 4
    )
    crop = cut_head(image, np.array(box, float), 224)
    expected = reference_head(image, np.array(box, float), 224)
    assert crop.shape == (224, 224, 3) and crop.dtype == np.uint8
    # The pipeline rounds to pixels.
    assert np.abs(crop.astype(int) - expected).max() <= 4


def test_a_head_crop_has_the_chin_above_its_lower_edge():
    # Of 2.8 half-sides of the box, one is above its centre and 1.8 below.
    box = np.array([100.0, 80, 160, 140])
    crop = cut_head(gradient(), box, 224).astype(float)
    x, y, half = 130, 110, 30 * 1.01
    for k in (0, 100, 223):
        share = (k + 0.5) / 224
        down = y - half + 2.8 * half * share - 0.5
        across = x - 1.4 * half + 2.8 * half * share - 0.5
        assert crop[k, 112, 1] == pytest.approx(down * 255 / 240, abs=1.1)
        assert crop[112, k, 0] == pytest.approx(across * 255 / 320, abs=1.1)


def test_a_head_beyond_the_edge_is_padded_with_grey():
    crop = cut_head(np.zeros((200, 200, 3), np.uint8), np.array([0.0, 120, 80, 200]), 224)
    assert (crop[-20:] == PADDING_GREY).all() and (crop[:, :10] == PADDING_GREY).all()
    assert (crop[20:100, 60:] == 0).all()


@pytest.mark.real_data
def test_the_lower_half_of_a_real_face_crop_holds_mouth_and_chin(shared):
    detector = YuNetDetector(shared / "models" / "yunet_n_320_320.onnx")
    data = shared / "data"
    clips = [
        *sorted((data / "grid_other_speakers").iterdir()),
        *sorted((data / "wild_lrs3").iterdir()),
    ]
    for clip in clips[::3]:
        face = detector(next(iter(read_frames(clip))).image)[0]
        box = s3fd_box(face.box)
        heights = (face.points[:, 1] - box[1]) / (box[3] - box[1])
        eyes, mouth = heights[:2].mean(), heights[3:].mean()
        assert 0.25 < eyes < 0.47, clip.name
        assert 0.65 < mouth < 0.8, clip.name
        # The chin lies about two thirds of the way from eyes to mouth below the mouth.
        assert 0.9 < mouth + 0.67 * (mouth - eyes) < 1.02, clip.name


@pytest.mark.real_data
def test_the_box_is_the_one_lrs3_was_cropped_by(shared):
    detector = YuNetDetector(shared / "models" / "yunet_n_320_320.onnx")
    edges = []
    for clip in sorted((shared / "data" / "wild_lrs3").iterdir())[::2]:
        images = [f.image for i, f in enumerate(read_frames(clip)) if i % 20 == 5]
        edges.append(np.mean([s3fd_box(detector(image)[0].box)[[1, 3]] for image in images], 0))
    # Its clips are 1.4 times the height of the detector's box, from the box's top edge down.
    np.testing.assert_allclose(np.mean(edges, 0), [0, 224 / 1.4], atol=2.5)
    assert np.std(edges, 0).max() < 6
