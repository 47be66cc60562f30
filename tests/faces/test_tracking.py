"""Faces here are coloured rectangles, and the detector finds those."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import pytest

from avsync.faces.crops import Face
from avsync.faces.detector import YuNetDetector
from avsync.faces.tracking import TrackedTick, follow_faces, interpolate, match_faces
from avsync.media.video_reader import Tick, at_rate, read_frames

RED, GREEN = (255, 0, 0), (0, 255, 0)
# Eyes, nose and mouth corners in a box of side 1.
POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


class PaintDetector:
    """Finds one face for each pure colour, with an error of `jitter` pixels."""

    name = "paint"

    def __init__(self, jitter: float = 0.0) -> None:
        self.jitter = jitter
        self.calls = 0
        self.noise = np.random.default_rng(0)

    def __call__(self, image: np.ndarray) -> list[Face]:
        self.calls += 1
        faces = []
        for colour in (RED, GREEN):
            y, x = np.nonzero((image == colour).all(axis=-1))
            if len(x):
                box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float)
                box = box + np.tile(self.noise.normal(0, self.jitter, 2), 2)
                faces.append(Face(box, box[:2] + POINTS * (box[2:] - box[:2]), 0.9))
        return faces


def image_of(*faces: tuple[tuple[int, int, int], int, int], background: int = 0) -> np.ndarray:
    """Return an image of rectangles 30 wide and 40 high, each a colour and its corner."""
    rough = np.random.default_rng(background).integers(0, 250, (4, 6, 3), dtype=np.uint8)
    image = cv2.resize(rough, (240, 120))
    for colour, x, y in faces:
        image[y : y + 40, x : x + 30] = colour
    return image


def ticks(images: Iterable[np.ndarray]) -> Iterator[Tick]:
    return (Tick(i, i / 25, image) for i, image in enumerate(images))


def follow(images: Iterable[np.ndarray], detector=None, stride: int = 5) -> list[TrackedTick]:
    images = list(images)
    followed = list(follow_faces(ticks(images), detector or PaintDetector(), stride))
    assert [tick.index for tick in followed] == list(range(len(images)))
    assert all(tick.image is image for tick, image in zip(followed, images, strict=True))
    return followed


def numbers(followed: list[TrackedTick]) -> list[list[int]]:
    return [[face.track for face in tick.faces] for tick in followed]


def corners(followed: list[TrackedTick]) -> np.ndarray:
    return np.array([tick.faces[0].box[:2] for tick in followed])


@pytest.mark.parametrize("length", [1, 2, 5, 6, 11, 38])
def test_a_still_face_is_one_track_from_the_first_frame_to_the_last(length):
    followed = follow([image_of((RED, 50, 30))] * length)
    assert numbers(followed) == [[0]] * length
    for tick in followed:
        np.testing.assert_allclose(tick.faces[0].box, [50, 30, 80, 70])
        np.testing.assert_allclose(tick.faces[0].points[2], [65, 54])
        assert tick.faces[0].score == pytest.approx(0.9)


def test_the_detector_runs_on_one_frame_in_five_and_the_last():
    detector = PaintDetector()
    follow([image_of((RED, 50, 30))] * 74, detector)
    assert detector.calls == 15 + 1


def test_a_moving_face_is_followed_without_lag():
    followed = follow(image_of((RED, 10 + 2 * i, 30)) for i in range(60))
    truth = 10 + 2 * np.arange(60)
    np.testing.assert_allclose(corners(followed)[:, 0], truth, atol=1e-6)


def test_a_nodding_head_stays_in_its_box():
    truth = 40 + 12 * np.sin(2 * np.pi * np.arange(100) / 25)
    followed = follow(image_of((RED, 100, round(y))) for y in truth)
    assert np.abs(corners(followed)[:, 1] - truth).max() < 6


def test_a_jittering_detection_is_smoothed():
    followed = follow([image_of((RED, 100, 30))] * 300, PaintDetector(jitter=2.0))
    path = corners(followed)
    assert path.std(axis=0).max() < 0.8 * 2.0
    assert np.diff(path, axis=0).std() < 0.35


def test_a_face_that_is_lost_for_half_a_second_stays_one_track():
    hidden = range(20, 33)
    faces = [() if i in hidden else ((RED, 50 + i, 30),) for i in range(60)]
    followed = follow(image_of(*present) for present in faces)
    assert numbers(followed) == [[0]] * 60
    path = corners(followed)[:, 0]
    np.testing.assert_allclose(path[:12], 50 + np.arange(12), atol=1e-6)
    np.testing.assert_allclose(path[40:], 50 + np.arange(40, 60), atol=1e-6)
    # From its held position back to its true one there is no jump.
    assert np.abs(np.diff(path)).max() < 6


def test_a_held_face_has_no_score():
    faces = [() if 20 <= i < 40 else ((RED, 50, 30),) for i in range(60)]
    scores = [tick.faces[0].score for tick in follow(image_of(*present) for present in faces)]
    assert min(scores[:15]) > 0.8
    assert scores[25] == 0
    assert min(scores[45:]) > 0.8


def test_a_face_that_comes_back_after_two_seconds_is_a_new_track():
    faces = [() if 20 <= i < 70 else ((RED, 50, 30),) for i in range(100)]
    found = numbers(follow(image_of(*present) for present in faces))
    assert found[:16] == [[0]] * 16
    assert found[45:70] == [[]] * 25
    # Found at the next detection, at most five frames later.
    assert found[74:] == [[1]] * 26


def test_a_face_that_leaves_is_not_held_to_the_end_of_the_file():
    faces = [((RED, 50, 30),) if i < 21 else () for i in range(26)]
    assert numbers(follow(image_of(*present) for present in faces)) == [[0]] * 21 + [[]] * 5


def test_a_cut_ends_every_track_and_starts_new_ones_at_its_frame():
    one, other = image_of((RED, 50, 30), background=0), image_of((RED, 50, 30), background=1)
    assert numbers(follow([one] * 23 + [other] * 17)) == [[0]] * 23 + [[1]] * 17


def test_boxes_are_not_smoothed_across_a_cut():
    one, other = image_of((RED, 50, 30), background=0), image_of((RED, 60, 30), background=1)
    path = corners(follow([one] * 23 + [other] * 17))[:, 0]
    np.testing.assert_allclose(path, [50] * 23 + [60] * 17)


def test_two_faces_are_two_tracks_that_keep_their_numbers():
    followed = follow(image_of((RED, 20 + i, 10), (GREEN, 150 - i, 70)) for i in range(60))
    assert numbers(followed) == [[0, 1]] * 60
    np.testing.assert_allclose(followed[-1].faces[0].box[0], 79, atol=1e-6)


def test_a_face_detected_once_in_several_detections_is_dropped():
    faces = [((GREEN, 150, 70),) if i == 25 else () for i in range(60)]
    followed = follow(image_of((RED, 50, 30), *extra) for extra in faces)
    assert numbers(followed) == [[0]] * 60


def test_only_a_few_frames_are_held():
    taken = 0

    def count(source: Iterable[Tick]) -> Iterator[Tick]:
        nonlocal taken
        for tick in source:
            taken += 1
            yield tick

    images = (image_of((RED, 50, 30)) for _ in range(100))
    held = [
        taken - given - 1
        for given, _ in enumerate(follow_faces(count(ticks(images)), PaintDetector()))
    ]
    assert max(held) <= 14


def test_frames_without_faces_pass_through():
    assert numbers(follow([image_of()] * 12)) == [[]] * 12
    assert numbers(follow([])) == []


def test_the_stride_must_be_positive():
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        list(follow_faces([], PaintDetector(), stride=0))


def face(x: float, y: float, side: float) -> Face:
    return Face(np.array([x, y, x + side, y + side]), np.zeros((5, 2)), 0.9)


def test_a_track_is_matched_to_the_face_that_overlaps_it_most():
    boxes = [face(0, 0, 10).box, face(4, 0, 10).box]
    assert match_faces(boxes, [face(5, 0, 10), face(1, 0, 10)]) == {0: 1, 1: 0}


def test_a_face_of_another_size_is_another_face():
    assert match_faces([face(0, 0, 10).box], [face(0, 0, 20)]) == {}
    assert match_faces([face(0, 0, 10).box], [face(0, 0, 14)]) == {0: 0}


def test_values_are_linear_between_knots_and_constant_outside():
    values = interpolate(
        np.array([2, 4, 8]), np.array([[0.0], [1.0], [3.0]]), np.array([1, 3, 6, 9])
    )
    np.testing.assert_allclose(values, [[0], [0.5], [2], [3]])


@pytest.mark.real_data
def test_real_faces_are_tracked_through_the_whole_clip(shared):
    detector = YuNetDetector(shared / "models" / "yunet_n_320_320.onnx")
    clips = [
        *sorted((shared / "data" / "grid_other_speakers").iterdir())[::5],
        *sorted((shared / "data" / "wild_lrs3").iterdir())[::7],
    ]
    for clip in clips:
        followed = list(follow_faces(at_rate(read_frames(clip)), detector))
        assert len(followed) >= 50
        assert numbers(followed) == [[0]] * len(followed), clip.name
