"""Crop the region a model takes around a detected face: the face box, the mouth, or the head.

The crops of the kind `mesh` are those of `mesh_regions`.
Every crop depends on a detector's box and five points only, so any detector can be used.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np

CropKind = Literal["face", "mouth", "head", "mesh"]

# Side of the mouth crop in units of the face's scale (see `mouth_square`): lips, cheeks and chin,
# without the eyes.
MOUTH_SIDE = 1.7
# From a detector's box to the box of S3FD, which the reference pipelines crop: hairline to just
# below the chin, without the ears. The left, top, right and bottom edges move outwards by these
# fractions of the box. Both kinds of detector were trained on the boxes of WIDER FACE, so little is
# left to correct: clips of LRS3 are cropped to 1.4 times their own detector's box, from its top
# edge down, which puts that box at 0 to 160 of 224 pixels; YuNet's box is at 1.0 to 159.4 there
# (mean of 20 clips).
S3FD_MARGINS = (0.0, 0.006, 0.0, 0.004)
# How far the SyncNet pipeline's crop extends beyond the square around its box, in halves of the
# square's side: this much to the left and right, twice as much below, nothing above.
HEAD_MARGIN = 0.4
# Grey value where a crop extends beyond the image, as the SyncNet pipeline pads.
PADDING_GREY = 110


class Face(NamedTuple):
    """A face in an image, in pixels.

    `box` (4,) is x0, y0, x1, y1. `points` (5, 2) are, from the viewer's side, left eye, right eye,
    nose, left mouth corner, right mouth corner. `score` in [0, 1] is the detector's confidence.
    """

    box: np.ndarray
    points: np.ndarray
    score: float


def cut_mouth(image: np.ndarray, points: np.ndarray, size: int) -> np.ndarray:
    """Crop the mouth of an image, upright and centred.

    Args:
        image: `(H, W, C)` uint8.
        points: the face's five points `(5, 2)` in pixels.
        size: side of the crop in pixels.

    Returns:
        Crop `(size, size, C)` uint8.
    """
    centre, side, roll = mouth_square(points)
    return _crop_square(image, centre, side, roll, size)


def cut_face(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """Crop `s3fd_box` of a face, resized to a square.

    Its aspect ratio is not kept, as in the reference pipelines, so the lower half of the box is the
    lower half of the crop. Beyond the image, edges are repeated.

    Args:
        image: `(H, W, C)` uint8.
        box: the face's box `(4,)` in pixels.
        size: side of the crop in pixels.

    Returns:
        Crop `(size, size, C)` uint8.
    """
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64))
    oversample = _oversample(max(x1 - x0, y1 - y0), size)
    fine = oversample * size
    step_x, step_y = max(x1 - x0, 1.0) / fine, max(y1 - y0, 1.0) / fine
    # Pixel centres are at half-integers, in the box as in the crop.
    matrix = np.array([[step_x, 0, x0 + (step_x - 1) / 2], [0, step_y, y0 + (step_y - 1) / 2]])
    # Edges are repeated, not grey: the reference clips the box to the image and resizes the rest.
    return _sample(image, matrix, size, oversample, cv2.BORDER_REPLICATE)


def cut_head(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """Crop the head around a face, a square as the SyncNet pipeline crops it.

    With bs half the longer side of `s3fd_box` and its centre at (mx, my), the crop covers columns
    mx - 1.4 bs to mx + 1.4 bs and rows my - bs to my + 1.8 bs. The pipeline rounds these to pixels;
    this function does not. Beyond the image, the crop is grey.

    Args:
        image: `(H, W, C)` uint8.
        box: the face's box `(4,)` in pixels.
        size: side of the crop in pixels.

    Returns:
        Crop `(size, size, C)` uint8.
    """
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64))
    half = max(x1 - x0, y1 - y0) / 2
    # Pixel centres are at half-integers, in the box as in the crop.
    centre = np.array([x0 + x1 - 1, y0 + y1 - 1 + 2 * HEAD_MARGIN * half]) / 2
    return _crop_square(image, centre, 2 * (1 + HEAD_MARGIN) * half, 0.0, size)


def mouth_square(points: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return centre `(2,)`, side in pixels and roll in radians of the mouth crop.

    The scale is the longer of the distance between the eyes and that from eyes to mouth: turning
    the head shortens the first, nodding the second.

    Args:
        points: the face's five points `(5, 2)` in pixels.
    """
    left_eye, right_eye, _, left_mouth, right_mouth = points.astype(np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    scale = max(np.hypot(*(right_eye - left_eye)), np.hypot(*(mouth - eyes)))
    across, down = right_eye - left_eye, mouth - eyes
    # Roll from both axes of the face: the line through the eyes alone is unsteady in profile.
    upright = across + np.array([down[1], -down[0]])
    return mouth, MOUTH_SIDE * scale, float(np.arctan2(upright[1], upright[0]))


def s3fd_box(box: np.ndarray) -> np.ndarray:
    """Return the box `(4,)` of the reference pipelines for a detector's box `(4,)`."""
    width, height = box[2] - box[0], box[3] - box[1]
    left, top, right, bottom = S3FD_MARGINS
    return box + np.array([-left * width, -top * height, right * width, bottom * height])


def mouth_to_face_affine(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the affine map `(2, 3)` from positions in the mouth crop to those in the face crop.

    Positions (x, y, 1) run from -1 to 1 between the crop's edges, as in
    `torch.nn.functional.affine_grid` with `align_corners=False`.

    Args:
        box: the face's box `(4,)`.
        points: the face's five points `(5, 2)`, in the same pixels.
    """
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64))
    centre, side, roll = mouth_square(points)
    half = max(side, 1.0) / 2
    cos, sin = half * np.cos(roll), half * np.sin(roll)
    # Pixel centres are at half-integers, in the box as in the crop.
    across = np.array([cos, -sin, centre[0] + 0.5 - x0]) * 2 / max(x1 - x0, 1.0)
    down = np.array([sin, cos, centre[1] + 0.5 - y0]) * 2 / max(y1 - y0, 1.0)
    return np.stack([across, down]) - np.array([[0, 0, 1], [0, 0, 1]])


def _crop_square(
    image: np.ndarray, centre: np.ndarray, side: float, roll: float, size: int
) -> np.ndarray:
    oversample = _oversample(side, size)
    fine = oversample * size
    scale = max(side, 1.0) / fine
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    middle = (fine - 1) / 2
    matrix = np.array(
        [
            [cos, -sin, centre[0] - middle * (cos - sin)],
            [sin, cos, centre[1] - middle * (sin + cos)],
        ]
    )
    return _sample(image, matrix, size, oversample, cv2.BORDER_CONSTANT)


def _oversample(side: float, size: int) -> int:
    # warpAffine reads single pixels, so a crop that shrinks the image is first sampled at an
    # integer multiple of its size and then averaged down.
    return max(1, min(8, round(side / size)))


def _sample(
    image: np.ndarray, matrix: np.ndarray, size: int, oversample: int, border: int
) -> np.ndarray:
    """Sample the square that `matrix` `(2, 3)` maps to the image, averaged by `oversample`."""
    crop = cv2.warpAffine(
        image,
        matrix,
        (oversample * size, oversample * size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
        borderValue=(PADDING_GREY,) * 3,
    )
    return crop if oversample == 1 else cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
