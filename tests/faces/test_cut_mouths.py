"""Mouths are cut upright, centred and at the scale of the face."""

import math

import cv2
import numpy as np
import torch
from golden.face_mesh import drawn_face

from avsync.encoders.pretrained.face_mesh import load_face_mesh
from avsync.faces.face_frame import cut_mouths

MOUTH = (128, 188)  # Of the drawn face.


def cut(image: np.ndarray, size: int = 48) -> np.ndarray:
    crop = torch.from_numpy(image).permute(2, 0, 1)
    with torch.inference_mode():
        found = load_face_mesh()(crop[None])
        assert found.presence > 0.5
        return cut_mouths(crop[None, :, None], found.points[None], size)[0, 0].numpy()


def moved(image: np.ndarray, angle: float, scale: float, x: float, y: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((128, 128), angle, scale)
    matrix[:, 2] += (x, y)
    return cv2.warpAffine(image, matrix, (256, 256), borderMode=cv2.BORDER_REPLICATE)


def test_the_mouth_is_in_the_middle_and_level():
    patch = cut(drawn_face())
    rows, columns = np.nonzero(patch < np.quantile(patch, 0.05))
    # The dark line between the lips.
    assert abs(columns.mean() - 23.5) < 1.5 and abs(rows.mean() - 23.5) < 3
    slope = np.polyfit(columns, rows, 1)[0]
    assert abs(math.degrees(math.atan(slope))) < 3


def test_a_face_that_is_moved_turned_or_smaller_gives_the_same_mouth():
    patch = cut(drawn_face())
    for angle, scale, x, y in ((0, 1, 12, -9), (14, 1, 0, 0), (-9, 0.8, 5, 5)):
        other = cut(moved(drawn_face(), angle, scale, x, y))
        assert np.corrcoef(patch.ravel(), other.ravel())[0, 1] > 0.9


def test_a_mouth_does_not_depend_on_where_those_of_other_frames_are():
    shifts = [(0, 0), (60, -70), (-90, 40)]  # The second reaches over the edge, the third too.
    crops = [moved(drawn_face(), 5, 0.9, 0, 0)] * len(shifts)
    frames = (255 * torch.from_numpy(np.stack(crops))).byte().permute(3, 0, 1, 2)[None]
    with torch.inference_mode():
        points = load_face_mesh()(frames[0].transpose(0, 1)).points[None]
        points[0, :, :, :2] += torch.tensor(shifts)[:, None]
        together = cut_mouths(frames, points, 48)
        for k in range(len(shifts)):
            alone = cut_mouths(frames[:, :, k : k + 1], points[:, k : k + 1], 48)
            torch.testing.assert_close(together[:, k : k + 1], alone, atol=1e-3, rtol=0)
        # Mouths far outside to the upper left and the lower right: the whole crop is converted.
        moves = torch.tensor([(0, 0), (-900, -900), (900, 900)])
        around = points[:, :1] + torch.nn.functional.pad(moves, (0, 1))[:, None]
        whole = cut_mouths(frames[:, :, :1].expand(1, 3, 3, 256, 256) / 255, around, 48)
        torch.testing.assert_close(together[:, 0], whole[:, 0], atol=1e-3, rtol=0)
        assert whole[0, 0].std() > 0.05 and (whole[0, 1:].std((1, 2)) < 1e-6).all()


def test_edges_are_repeated_and_the_range_is_kept():
    frames = torch.full((1, 3, 2, 256, 256), 0.25, dtype=torch.float64)
    points = torch.zeros(1, 2, 478, 3)
    points[:, :, 263, 0] = 80.0
    patches = cut_mouths(frames, points, 16)
    assert patches.dtype == torch.float64
    torch.testing.assert_close(patches, torch.full((1, 2, 16, 16), 0.25, dtype=torch.float64))
