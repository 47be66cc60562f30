"""A generated face is composited where the true one was cropped, with soft edges only."""

import av
import numpy as np
import pytest
from pipelines.painters import texture

from avsync.faces.compositing import composite_face, face_mask
from avsync.faces.crops import cut_face
from avsync.media.video_reader import RgbConverter
from avsync.media.yuv import YuvConverter

SIZE = (360, 288)
BOXES = [(100, 50, 250, 260), (3.3, 20.7, 50.2, 90.9), (-20, 100, 120, 300), (200, 100, 234, 140)]


def composited(generated, box, name="yuv420p", image=None):
    """Return planes before and after, as integers; `generated` None for the true crop."""
    image = texture(*SIZE) if image is None else image
    decoded = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=name)
    frame = YuvConverter()(decoded)
    before = [plane.astype(int) for plane in frame.planes]
    size = np.array(image.shape[1::-1] * 2)
    if generated is None:
        crop = cut_face(RgbConverter()(decoded), np.array(box, float), 96)
        generated = crop.transpose(2, 0, 1) / 255
    composite_face(frame, generated, np.array(box) / size)
    return before, [plane.astype(int) for plane in frame.planes]


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("box", BOXES)
def test_the_true_face_composited_back_restores_the_frame(box, name):
    before, after = composited(None, box, name)
    unit = 4 if name.endswith("10le") else 1
    for old, new in zip(before, after, strict=True):
        assert abs(old - new).max() <= 6 * unit
        assert abs(old - new).mean() < 0.15 * unit


@pytest.mark.parametrize("box", BOXES)
def test_outside_the_lower_half_of_the_box_no_sample_changes(box):
    noise = np.random.default_rng(0).integers(0, 256, (288, 360, 3), dtype=np.uint8)
    before, after = composited(np.ones((3, 96, 96)), box, image=noise)
    x0, y0, x1, y1 = box
    middle = (y0 + y1) / 2
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        step = 2 if number else 1
        changed_y, changed_x = np.nonzero(old != new)
        assert len(changed_y)
        # The reference boxes are a hundredth of the face larger than the detector's.
        assert changed_x.min() * step >= x0 - 3 and changed_x.max() * step <= x1 + 3
        assert changed_y.min() * step >= middle - 3 and changed_y.max() * step <= y1 + 3


def test_the_generated_colour_shows_in_the_middle():
    image = np.full((288, 360, 3), 90, np.uint8)
    decoded = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
    frame = YuvConverter()(decoded)
    red = np.broadcast_to(np.array([0.8, 0.1, 0.1])[:, None, None], (3, 96, 96))
    composite_face(frame, red, np.array([0.25, 0.25, 0.75, 0.75]))
    read = RgbConverter()(frame.frame())
    np.testing.assert_allclose(read[190, 180], [204, 26, 26], atol=4)
    np.testing.assert_allclose(read[100, 180], [90, 90, 90], atol=1)


def test_the_mask_is_opaque_over_the_mouth_and_transparent_at_its_edges():
    mask = face_mask(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    assert (mask[65:88, 20:81] == 1).all()
    for edge in (mask[:51], mask[-1:], mask[:, :1], mask[:, -1:]):
        assert (edge == 0).all()


def test_the_mask_has_no_step():
    # For a face of 100 pixels, neighbours differ by at most an eighth of the generated value.
    at = (np.arange(100) + 0.5) / 100
    mask = np.pad(face_mask(at, at), 1)
    assert max(abs(np.diff(mask, axis=axis)).max() for axis in (0, 1)) < 0.13
    # The slope is continuous too.
    assert max(abs(np.diff(mask, n=2, axis=axis)).max() for axis in (0, 1)) < 0.05


def test_a_seam_is_no_steeper_than_the_mask():
    image = np.full((288, 360, 3), 60, np.uint8)
    _, after = composited(np.full((3, 96, 96), 0.9), (100, 50, 250, 260), image=image)
    rise = after[0].max() - after[0].min()
    assert rise > 120
    assert max(abs(np.diff(after[0], axis=axis)).max() for axis in (0, 1)) < 0.07 * rise


def test_a_face_outside_the_frame_changes_nothing():
    before, after = composited(np.ones((3, 96, 96)), (400, 300, 500, 420))
    assert all((old == new).all() for old, new in zip(before, after, strict=True))
