"""Crops of faces in a task's geometry: from a prepared clip, or cut out of an image."""

import cv2
import numpy as np

from avsync.data.store.reader import PreparedClip
from avsync.faces.crops import cut_face, cut_head, cut_mouth
from avsync.faces.mesh_regions import cut_region, region_from_points
from avsync.faces.tracking import TrackedFace
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.separation.input_spec import SeparationSpec

# Both define the crop of a task and its size.
CropSpec = ClipSpec | SeparationSpec


def crops_for(spec: CropSpec, clip: PreparedClip) -> np.ndarray:
    """Return the crops `(T, H, W, 3)` uint8 of a clip in the geometry of a task.

    Crops that have the right size already are not copied, and stay on disk.

    Raises:
        ValueError: the task takes no crop, or the store was made without this kind.
    """
    if spec.crop is None:
        raise ValueError("spec must name a crop: this task looks at no frame")
    kinds = {"mouth": clip.mouth, "face": clip.face, "head": clip.head, "mesh": clip.mesh}
    stored = kinds[spec.crop]
    if stored is None:
        raise ValueError(
            f"clip {clip.id} has no {spec.crop} crops, which this model looks at: "
            f"make the store with avsync prepare --crops {spec.crop}"
        )
    return fit_crops(spec, stored)


def fit_crops(spec: CropSpec, crops: np.ndarray) -> np.ndarray:
    """Resize stored crops `(T, S, S, 3)` uint8 to a task's `(T, H, W, 3)`.

    Crops of the right size are not copied.
    """
    if crops.shape[1:3] != (spec.width, spec.width):
        size = (spec.width, spec.width)
        crops = np.stack([cv2.resize(crop, size, interpolation=cv2.INTER_AREA) for crop in crops])
    return crops[:, spec.width // 2 :] if spec.lower_half else crops


def cut_crop(spec: CropSpec, image: np.ndarray, face: TrackedFace) -> np.ndarray:
    """Cut a task's crop `(height, width, 3)` of a face out of an image `(H, W, 3)` uint8."""
    size = spec.width
    if spec.crop == "mouth":
        return cut_mouth(image, face.points, size)
    if spec.crop == "head":
        return cut_head(image, face.box, size)
    if spec.crop == "mesh":
        mesh = cut_region(image, region_from_points(face.points))
        return fit_crops(spec, mesh[None])[0]
    crop = cut_face(image, face.box, size)
    return crop[size // 2 :] if spec.lower_half else crop
