"""Detect the 68 landmarks of a face, and align them to an upright mean face, as Y-Net-g takes them.

Source: Montesinos, Kadandale and Haro, A cappella: audio-visual singing voice separation, 2021.
The order is that of iBUG's 68 points: jaw 0 to 16, brows to 26, nose to 35, eyes to 47, lips to 67.
"""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from avsync.faces.crops import Face
from avsync.faces.mesh_regions import cut_region, mesh_in_image, region_from_points
from avsync.faces.mesh_tracking import MIN_PRESENCE, mesh_of_crops

if TYPE_CHECKING:
    from avsync.encoders.pretrained.face_mesh import FaceMesh

NUM_LANDMARKS = 68
# The point of the 478-point mesh that stands for each of the 68. The mesh's jaw follows the visible
# edge of the face, iBUG's the bone.
MESH_TO_68 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
# Landmarks that alignment uses, below the nose and at the corners of the eyes, and their positions
# in the mean face, in an image of 224 by 244 pixels.
STABLE_LANDMARKS = (33, 36, 39, 42, 45)
MEAN_FACE = np.array(
    [[116.95, 123.796], [45.512, 43.462], [84.545, 45.623], [143.671, 43.024], [182.164, 39.638]]
)
# Scale from that image to the aligned one, of 96 by 128 pixels.
TO_ALIGNED = np.array([96 / 224, 128 / 244])


class Landmarker(Protocol):
    """Finds the landmarks `(68, 2)` of a face in an image `(H, W, 3)` uint8 RGB.

    Landmarks are x and y in pixels; None where the landmarker finds no face.
    """

    name: str

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray | None: ...


class MeshLandmarker:
    """The face mesh network of MediaPipe, reduced to 68 points.

    Args:
        mesh: the network, in eval mode; by default with the weights in the package.

    Raises:
        RuntimeError: the weights are missing or damaged.
    """

    name = "mesh"

    def __init__(self, mesh: "FaceMesh | None" = None) -> None:
        if mesh is None:
            from avsync.encoders.pretrained.face_mesh import load_face_mesh

            mesh = load_face_mesh()
        self.mesh = mesh

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray | None:
        region = region_from_points(face.points)
        found = mesh_of_crops(self.mesh, [cut_region(image, region)])
        if found.presence[0] < MIN_PRESENCE:
            return None
        return mesh_in_image(found.points[0], region)[list(MESH_TO_68), :2]


def align_to_mean_face(points: np.ndarray) -> np.ndarray:
    """Align the landmarks of every frame to the mean face by a similarity transform.

    Each frame is rotated, scaled and shifted independently, so that nose and eyes come closest to
    the mean face's, as in the published pipeline; that one then detects the landmarks again in the
    aligned image and keeps integer pixels. A frame without a face, NaN, becomes zeros, as there.

    Args:
        points: landmarks `(T, 68, 2)` in pixels of the image.

    Returns:
        Landmarks `(T, 68, 2)` float32 in pixels of the aligned face, 96 wide and 128 high.
    """
    if points.ndim != 3 or points.shape[1:] != (NUM_LANDMARKS, 2):
        raise ValueError(f"points must be (T, {NUM_LANDMARKS}, 2), got {points.shape}")
    has_face = np.isfinite(points).all((1, 2))
    # In complex numbers, a similarity is a product and a sum.
    numbers = points[has_face, :, 0] + 1j * points[has_face, :, 1].astype(np.float64)
    mean = MEAN_FACE[:, 0] + 1j * MEAN_FACE[:, 1]
    stable = numbers[:, STABLE_LANDMARKS]
    centre, mean_offsets = stable.mean(1, keepdims=True), mean - mean.mean()
    offsets = stable - centre
    energy = (np.abs(offsets) ** 2).sum(1, keepdims=True)
    if (energy == 0).any():
        raise ValueError("points must not all coincide, as they do in a frame of zeros")
    factor = (offsets.conj() * mean_offsets).sum(1, keepdims=True) / energy
    moved = factor * (numbers - centre) + mean.mean()
    aligned = np.zeros(points.shape, np.float32)
    aligned[has_face] = np.stack([moved.real, moved.imag], -1) * TO_ALIGNED
    return aligned
