"""Draw the landmarks of the mouth on thumbnails, so that a person sees what a mesh model measured.

The mesh is found again in the few frames that are shown: a check keeps no frames, and a report has
no mesh of its own. Region and network are those of the check.
"""

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from avsync.faces.detector import FaceDetector, find_detector
from avsync.faces.mesh_regions import cut_region, mesh_in_image, region_from_points
from avsync.faces.mesh_tracking import MIN_PRESENCE, mesh_of_crops
from avsync.faces.tracking import iou

if TYPE_CHECKING:
    from avsync.encoders.pretrained.face_mesh import FaceMesh

# Models that look at the mesh of a face.
MESH_MODELS = ("face_sync", "face_sync-research")
# RGB: a colour that skin and lips do not have, and one that sets it off.
COLOUR, OUTLINE = (0, 235, 255), (0, 45, 60)
# Radius of the jaw's dots in pixels of a thumbnail.
DOT_PX = 1.6
# Binary digits after the point in OpenCV's drawing coordinates.
SHIFT = 4


class MouthFinder:
    """Finds the landmarks of the mouth of a face in single frames.

    Args:
        detector: finds the faces.
        mesh: finds the landmarks of a face.
    """

    def __init__(self, detector: FaceDetector, mesh: "FaceMesh") -> None:
        self.detector, self.mesh = detector, mesh

    def __call__(
        self, image: np.ndarray, box: tuple[float, float, float, float]
    ) -> np.ndarray | None:
        """Return the outer lips, inner lips and jaw of the face that a box overlaps most.

        Args:
            image: `(H, W, 3)` uint8 RGB.
            box: x0, y0, x1, y1 in pixels of the image.

        Returns:
            `(54, 2)` in pixels of the image, 0 at the centre of the first one; None without a face
            there.
        """
        # Importing it loads torch, which a report without landmarks does without.
        from avsync.faces.face_frame import INNER_LIPS, JAW, OUTER_LIPS

        overlaps = [(iou(np.array(box), face.box), face) for face in self.detector(image)]
        overlap, face = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
        if face is None or overlap <= 0:
            return None
        region = region_from_points(face.points)
        found = mesh_of_crops(self.mesh, [cut_region(image, region)])
        if found.presence[0] < MIN_PRESENCE:
            return None
        return mesh_in_image(found.points[0], region)[[*OUTER_LIPS, *INNER_LIPS, *JAW], :2]


def mouth_finder(model: str) -> MouthFinder | None:
    """Return the finder for the results of a model; None if it uses no mesh, or files are missing.

    Args:
        model: the name of a sync model.
    """
    return _finder() if model in MESH_MODELS else None


@cache
def _finder() -> MouthFinder | None:
    from avsync.encoders.pretrained.face_mesh import load_face_mesh

    try:
        return MouthFinder(find_detector(), load_face_mesh())
    except RuntimeError:
        return None  # The page shows the thumbnails without landmarks.


def draw_mouth(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Draw the contours of the lips as lines and the points of the jaw as dots.

    Args:
        image: `(H, W, 3)` uint8 RGB; it is not modified.
        points: `(54, 2)` as `MouthFinder` returns them, in pixels of the image.

    Returns:
        The drawing, of the same shape.
    """
    drawn = np.ascontiguousarray(image).copy()
    fixed = np.round(points * 2**SHIFT).astype(np.int32)
    lips, jaw = [fixed[:20], fixed[20:40]], fixed[40:]
    for colour, wider in ((OUTLINE, 1), (COLOUR, 0)):
        if not wider:
            cv2.polylines(drawn, lips, True, colour, 1, cv2.LINE_AA, SHIFT)
        radius = round((DOT_PX + wider) * 2**SHIFT)
        for x, y in jaw.tolist():
            cv2.circle(drawn, (x, y), radius, colour, cv2.FILLED, cv2.LINE_AA, SHIFT)
    return drawn
