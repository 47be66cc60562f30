"""Regions of an image that the face mesh network sees: where they are, crops, points in the image.

A region is a square around a face, turned so that the eyes are level. MediaPipe takes the first one
of a video from its detector and each other one from the mesh of the frame before. Here it follows
from the detector's five points too, so that the frames of a track can be computed in one batch.
Positions are in pixels, 0 at the centre of the first one, as in OpenCV's transforms.
Source: the graph `face_landmarks_detector_graph` of MediaPipe.
"""

from typing import NamedTuple

import cv2
import numpy as np

# Side of the network's crops in pixels. Importing it from the network would load torch, which
# processes that only cut crops do without.
CROP_SIZE = 256
# Side of the region in units of the longer side of the box around the mesh.
MESH_SCALE = 1.5
# Outer corners of the eyes in the mesh, the viewer's left one first; their line is the roll.
LEFT_EYE, RIGHT_EYE = 33, 263
# The region of the mesh in terms of the detector's five points, fitted to MediaPipe's regions in
# 1290 frames of 20 videos: the side in units of the diagonal of eyes and mouth; the centre as
# shares of the way from the eyes to the mouth, and from between them to the nose, which points to
# the side that the head is turned to. Left over are 3 % of the side, and 1.5 % in the centre.
POINTS_SIDE, POINTS_DOWN, POINTS_NOSE = 2.813, 0.572, -1.283


class MeshRegion(NamedTuple):
    """A square in an image.

    Args:
        centre: `(2,)`, x and y in pixels.
        side: in pixels.
        roll: angle in radians by which the face is turned clockwise.
    """

    centre: np.ndarray
    side: float
    roll: float


class RegionShift(NamedTuple):
    """How a region differs from another one, in the frame of the latter.

    Args:
        move: `(2,)`, right and down along the turned square, in units of its side.
        scale: factor of the side.
        turn: angle in radians.
    """

    move: np.ndarray
    scale: float
    turn: float


def region_from_points(points: np.ndarray) -> MeshRegion:
    """Return the region of a face by the detector's five points `(5, 2)` in pixels (see `Face`)."""
    left_eye, right_eye, nose, left_mouth, right_mouth = points.astype(np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    centre = eyes + POINTS_DOWN * down + POINTS_NOSE * (nose - (eyes + mouth) / 2)
    side = POINTS_SIDE * np.hypot(np.hypot(*across), np.hypot(*down))
    return MeshRegion(centre, max(float(side), 1.0), float(np.arctan2(across[1], across[0])))


def region_from_mesh(mesh: np.ndarray) -> MeshRegion:
    """Return the region of a face by its mesh `(478, 2)` or `(478, 3)` in pixels of the image."""
    points = mesh[:, :2].astype(np.float64)
    low, high = points.min(0), points.max(0)
    across = points[RIGHT_EYE] - points[LEFT_EYE]
    side = MESH_SCALE * float((high - low).max())
    return MeshRegion((low + high) / 2, max(side, 1.0), float(np.arctan2(across[1], across[0])))


def region_affine(region: MeshRegion) -> np.ndarray:
    """Return the transform `(2, 3)` from pixels of a region's crop to pixels of the image."""
    scale = region.side / CROP_SIZE
    cos, sin = scale * np.cos(region.roll), scale * np.sin(region.roll)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, region.centre - turn @ np.full(2, CROP_SIZE / 2)])


def cut_region(image: np.ndarray, region: MeshRegion) -> np.ndarray:
    """Crop a region; edges of the image are repeated.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        region: the square.

    Returns:
        Crop `(256, 256, 3)` uint8.
    """
    affine = region_affine(region)
    # As in MediaPipe, one bilinear sample a pixel, unless the crop shrinks the image: then that is
    # first shrunk by a whole factor, which is faster than sampling it finely.
    factor = max(1, min(8, round(region.side / CROP_SIZE)))
    if factor > 1:
        image, corner = _shrink_around(image, region, factor)
        affine[:, 2] -= corner + (factor - 1) / 2
        affine /= factor
    return cv2.warpAffine(
        image,
        affine,
        (CROP_SIZE, CROP_SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _shrink_around(
    image: np.ndarray, region: MeshRegion, factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shrink the part of an image that holds a region; return it and its corner `(2,)` x, y.

    Parts begin at whole multiples of the factor, so that a still face has still pixels.
    """
    size = np.array([image.shape[1], image.shape[0]])
    reach = np.sqrt(0.5) * region.side + factor
    whole = np.maximum(size // factor, 1)
    low = np.clip((region.centre - reach) // factor, 0, whole - 1).astype(int)
    high = np.clip((region.centre + reach) // factor + 1, low + 1, whole).astype(int)
    (x0, y0), (x1, y1) = factor * low, factor * high
    width, height = (high - low).tolist()
    part = image[y0:y1, x0:x1]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), factor * low


def mesh_in_image(points: np.ndarray, region: MeshRegion) -> np.ndarray:
    """Map a mesh `(478, 3)` from pixels of a region's crop to pixels of the image; z is scaled."""
    affine = region_affine(region)
    placed = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    return np.column_stack([placed, points[:, 2] * (region.side / CROP_SIZE)])


def shift_between(region: MeshRegion, other: MeshRegion) -> RegionShift:
    """Return the shift that makes a region the other one, as `shifted` applies it."""
    cos, sin = np.cos(region.roll), np.sin(region.roll)
    move = np.array([[cos, sin], [-sin, cos]]) @ (other.centre - region.centre) / region.side
    turn = (other.roll - region.roll + np.pi) % (2 * np.pi) - np.pi
    return RegionShift(move, other.side / region.side, float(turn))


def shifted(region: MeshRegion, shift: RegionShift) -> MeshRegion:
    """Apply a shift to a region."""
    cos, sin = np.cos(region.roll), np.sin(region.roll)
    move = np.array([[cos, -sin], [sin, cos]]) @ shift.move * region.side
    side = region.side * shift.scale
    return MeshRegion(region.centre + move, side, region.roll + shift.turn)
