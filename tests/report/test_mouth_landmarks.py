"""Landmarks that a report draws lie on the mouth, and only mesh models have them."""

import base64

import cv2
import numpy as np
import pytest
from golden.face_mesh import drawn_face

from avsync.encoders.pretrained.face_mesh import load_face_mesh
from avsync.faces.crops import Face
from avsync.report import mouth_landmarks
from avsync.report.mouth_landmarks import COLOUR, MouthFinder, draw_mouth, mouth_finder
from avsync.report.thumbnails import MARGIN, THUMBNAIL_PX, MediaSource, Moment, read_images

# The drawn face, twice as large and with its corner at (400, 100) of a frame.
SCALE, CORNER = 2, np.array([400, 100])
MOUTH, MOUTH_RADII = (128, 188), (30, 11)
BOX = (552.0, 264.0, 760.0, 564.0)


def frame() -> np.ndarray:
    face = cv2.resize((255 * drawn_face()).astype(np.uint8), None, fx=SCALE, fy=SCALE)
    image = np.full((720, 1280, 3), 128, np.uint8)
    image[CORNER[1] :, CORNER[0] :][: len(face), : len(face)] = face
    return image


class DrawnDetector:
    """Knows where the drawn face is, and sees another one elsewhere."""

    name, stride = "drawn", 1

    def __call__(self, image: np.ndarray) -> list[Face]:
        points = np.array([[95, 110], [161, 110], [128, 155], [100, 188], [156, 188]])
        other = Face(np.array([0.0, 0, 100, 100]), np.full((5, 2), 50.0), 0.99)
        return [other, Face(np.array(BOX), SCALE * points + CORNER + 0.5, 0.9)]


@pytest.fixture(scope="module")
def finder():
    return MouthFinder(DrawnDetector(), load_face_mesh())


def test_the_landmarks_are_those_of_the_drawn_mouth(finder):
    points = (finder(frame(), BOX) - CORNER) / SCALE
    assert points.shape == (54, 2)
    lips, jaw = points[:40], points[40:]
    # In units of the ellipse of the lips, whose edge is at 1.
    away = np.hypot(*((lips - MOUTH) / MOUTH_RADII).T)
    assert away.max() < 1.6 and abs(lips.mean(0) - MOUTH).max() < 5
    # The contour of the outer lips encloses the inner one.
    outer = lips[:20].astype(np.float32)
    assert all(cv2.pointPolygonTest(outer, point, True) > -1 for point in lips[20:].tolist())
    assert (jaw[:, 1] > MOUTH[1]).mean() > 0.7 and jaw[:, 1].max() < 240


def test_a_box_without_a_face_has_no_landmarks(finder):
    assert finder(frame(), (1000.0, 600.0, 1100.0, 700.0)) is None
    # The detector sees a face in the grey corner; the mesh network does not.
    assert finder(frame(), (0.0, 0.0, 100.0, 100.0)) is None


def test_lines_follow_the_points_and_leave_the_rest_of_the_image():
    image = np.full((100, 100, 3), 90, np.uint8)
    square = np.array([[20, 20], [40, 20], [40, 40], [20, 40]]).repeat(5, 0)
    points = np.concatenate([square, square, np.full((14, 2), 70.25)])
    drawn = draw_mouth(image, points)
    assert (image == 90).all()
    # Smoothed edges mix a share of 1 % of the image in.
    np.testing.assert_allclose(drawn[20, 22:39], np.tile(COLOUR, (17, 1)), atol=4)
    np.testing.assert_allclose(drawn[70, 70], COLOUR, atol=4)
    rows, columns = np.nonzero((drawn != 90).any(-1))
    assert (drawn[22:39, 22:39] == 90).all()
    assert rows.min() >= 19 and columns.min() >= 19 and max(rows.max(), columns.max()) <= 74


def decoded(thumbnail) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(thumbnail.data_uri.split(",")[1]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def test_thumbnails_have_them_in_place_and_others_are_unchanged(finder, tmp_path, monkeypatch):
    path = tmp_path / "face.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (1280, 720))
    for _ in range(10):
        writer.write(frame()[..., ::-1])
    writer.release()
    moments = [Moment(0.2, BOX), Moment(0.2)]
    plain, whole = read_images(MediaSource(str(path)), moments)
    marked, marked_whole = read_images(MediaSource(str(path)), moments, mouths=finder)
    assert (plain.landmarks, marked.landmarks, marked_whole.landmarks) == (False, True, False)
    # Without a face to show, nothing is drawn.
    assert marked_whole == whole
    rows, columns = np.nonzero(np.abs(decoded(marked) - decoded(plain)).sum(-1) > 150)
    side = MARGIN * (BOX[3] - BOX[1])
    corner = np.array([BOX[0] + BOX[2], BOX[1] + BOX[3]]) / 2 - side / 2
    corner = np.clip(corner, 0, (1280 - side, 720 - side))
    mouth = (SCALE * np.array(MOUTH) + CORNER - corner) * THUMBNAIL_PX / side
    assert len(rows) > 50
    # Lips and jaw: from just above the mouth to the chin, as wide as the face.
    unit = SCALE * THUMBNAIL_PX / side
    assert rows.min() > mouth[1] - 20 * unit and rows.max() < mouth[1] + 60 * unit
    assert abs(columns.mean() - mouth[0]) < 8 * unit and np.ptp(columns) < 140 * unit


def test_only_mesh_models_have_a_finder(monkeypatch):
    assert mouth_finder("dense_sync") is None
    assert isinstance(mouth_finder("face_sync"), MouthFinder)
    assert mouth_finder("face_sync") is mouth_finder("face_sync")
    monkeypatch.setenv("AVSYNC_YUNET", "/nowhere/yunet.onnx")
    mouth_landmarks._finder.cache_clear()
    assert mouth_finder("face_sync") is None
    mouth_landmarks._finder.cache_clear()
