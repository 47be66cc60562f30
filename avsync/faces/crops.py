"""From a face in a picture to the crop a model looks at: the face box, the mouth, or the head.

All geometries follow a detector's box and five points only, so that any detector serves.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np

CropKind = Literal["face", "mouth", "head"]

# Side of the mouth crop in units of the face's scale (see `mouth_square`): lips, cheeks and chin,
# not the eyes.
MOUTH_SIDE = 1.7
# From a detector's box to the one that S3FD draws, which the reference pipelines cut: hairline to
# just under the chin, without the ears. Left, top, right and bottom edge move outwards by these
# fractions of the box. Both kinds of detector learnt the boxes of WIDER FACE, so little is left to
# correct: clips of LRS3 are cut at 1.4 times their own detector's box, from its top edge down,
# which puts that box at 0 to 160 of 224 pixels; YuNet's lies at 1.0 to 159.4 there (mean of 20
# clips).
S3FD_MARGINS = (0.0, 0.006, 0.0, 0.004)
# How far the SyncNet pipeline's crop reaches over the square around its box, in halves of the
# square's side: this much to the left and right, twice as much below, not at all above.
HEAD_MARGIN = 0.4
# Grey where a crop reaches over the picture's edge, as the SyncNet pipeline pads.
PADDING_GREY = 110


class Face(NamedTuple):
    """A face in a picture, in its pixels.

    `box` (4,) is x0, y0, x1, y1. `points` (5, 2) are, as the viewer sees them, left eye, right eye,
    nose, left mouth corner, right mouth corner. `score` in [0, 1] is the detector's own.
    """

    box: np.ndarray
    points: np.ndarray
    score: float


def mouth_square(points: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre `(2,)`, side in pixels and roll in radians of the mouth crop for five points `(5, 2)`.

    The scale is the longer of the distance between the eyes and that from eyes to mouth: turning
    the head shortens the first, nodding the second.
    """
    left_eye, right_eye, _, left_mouth, right_mouth = points.astype(np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    scale = max(np.hypot(*(right_eye - left_eye)), np.hypot(*(mouth - eyes)))
    across, down = right_eye - left_eye, mouth - eyes
    # Roll from both axes of the face: the line of the eyes alone is unsteady in profile.
    upright = across + np.array([down[1], -down[0]])
    return mouth, MOUTH_SIDE * scale, float(np.arctan2(upright[1], upright[0]))


def cut_mouth(image: np.ndarray, points: np.ndarray, size: int) -> np.ndarray:
    """The mouth of an image `(H, W, C)` uint8, upright and centred, as `(size, size, C)`."""
    centre, side, roll = mouth_square(points)
    return _cut_square(image, centre, side, roll, size)


def s3fd_box(box: np.ndarray) -> np.ndarray:
    """The box `(4,)` of the reference pipelines for a face's own `(4,)`, in the same pixels."""
    width, height = box[2] - box[0], box[3] - box[1]
    left, top, right, bottom = S3FD_MARGINS
    return box + np.array([-left * width, -top * height, right * width, bottom * height])


def cut_face(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """`s3fd_box` of a face's box `(4,)` in an image `(H, W, C)` uint8, as `(size, size, C)`.

    The box is stretched to a square, as the reference pipelines do, so its lower half is the
    crop's.
    """
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64))
    oversample = _oversample(max(x1 - x0, y1 - y0), size)
    fine = oversample * size
    across, down = max(x1 - x0, 1.0) / fine, max(y1 - y0, 1.0) / fine
    # Pixel centres lie at halves, for the box as for the crop.
    warp = np.array([[across, 0, x0 + (across - 1) / 2], [0, down, y0 + (down - 1) / 2]])
    # Edges are repeated, not grey: the reference clips the box to the picture and stretches what is
    # left.
    return _warp(image, warp, size, oversample, cv2.BORDER_REPLICATE)


def mouth_to_face_affine(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where the mouth crop of a face lies in its face crop, `(2, 3)`: maps a place (x, y, 1) of the
    mouth crop to one of the face crop, both from -1 to 1 between the crop's edges.

    The places that `torch.nn.functional.affine_grid` deals in, without its `align_corners`.

    Args:
        box: of the face `(4,)`.
        points: of the face `(5, 2)`, in the same pixels.
    """
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64))
    centre, side, roll = mouth_square(points)
    half = max(side, 1.0) / 2
    cos, sin = half * np.cos(roll), half * np.sin(roll)
    # Pixel centres lie at halves, for the box as for the crop.
    across = np.array([cos, -sin, centre[0] + 0.5 - x0]) * 2 / max(x1 - x0, 1.0)
    down = np.array([sin, cos, centre[1] + 0.5 - y0]) * 2 / max(y1 - y0, 1.0)
    return np.stack([across, down]) - np.array([[0, 0, 1], [0, 0, 1]])


def cut_head(image: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """The head around a face's box `(4,)` in an image `(H, W, C)` uint8, as `(size, size, C)`.

    A square as the SyncNet pipeline cuts it: with bs half the longer side of `s3fd_box` and its
    middle at (mx, my), columns mx - 1.4 bs to mx + 1.4 bs and rows my - bs to my + 1.8 bs. Theirs
    cuts at whole pixels.
    """
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64))
    half = max(x1 - x0, y1 - y0) / 2
    # Pixel centres lie at halves, for the box as for the crop.
    centre = np.array([x0 + x1 - 1, y0 + y1 - 1 + 2 * HEAD_MARGIN * half]) / 2
    return _cut_square(image, centre, 2 * (1 + HEAD_MARGIN) * half, 0.0, size)


def _cut_square(
    image: np.ndarray, centre: np.ndarray, side: float, roll: float, size: int
) -> np.ndarray:
    oversample = _oversample(side, size)
    fine = oversample * size
    scale = max(side, 1.0) / fine
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    middle = (fine - 1) / 2
    warp = np.array(
        [
            [cos, -sin, centre[0] - middle * (cos - sin)],
            [sin, cos, centre[1] - middle * (sin + cos)],
        ]
    )
    return _warp(image, warp, size, oversample, cv2.BORDER_CONSTANT)


def _oversample(side: float, size: int) -> int:
    # Warping samples single pixels, so a crop that shrinks is first cut at a whole multiple of its
    # size and then averaged down.
    return max(1, min(8, round(side / size)))


def _warp(
    image: np.ndarray, warp: np.ndarray, size: int, oversample: int, border: int
) -> np.ndarray:
    """The square that `warp` `(2, 3)` maps from crop to image, averaged down by `oversample`."""
    crop = cv2.warpAffine(
        image,
        warp,
        (oversample * size, oversample * size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
        borderValue=(PADDING_GREY,) * 3,
    )
    return crop if oversample == 1 else cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
