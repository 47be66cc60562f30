"""Crops as a task wants them: of a prepared clip, or out of a frame."""

import cv2
import numpy as np

from avsync.data.store.reader import PreparedClip
from avsync.faces.crops import cut_face, cut_head, cut_mouth
from avsync.faces.tracking import TrackedFace
from avsync.tasks.input_spec import ClipSpec
from avsync.tasks.separation.input_spec import SeparationSpec

# What tells which part of a face a task looks at, and at which size.
CropSpec = ClipSpec | SeparationSpec


def crops_for(spec: CropSpec, clip: PreparedClip) -> np.ndarray:
    """Crops `(T, H, W, 3)` uint8 of a clip in the geometry of a task; what fits stays on disk.

    ValueError where the store was made without them.
    """
    if spec.crop is None:
        raise ValueError("spec must name a crop: this task looks at no frame")
    stored = {"mouth": clip.mouth, "face": clip.face, "head": clip.head}[spec.crop]
    if stored is None:
        raise ValueError(
            f"clip {clip.id} has no {spec.crop} crops, which this model looks at: "
            f"make the store with avsync prepare --crops {spec.crop}"
        )
    return fit_crops(spec, stored)


def fit_crops(spec: CropSpec, crops: np.ndarray) -> np.ndarray:
    """Stored crops `(T, S, S, 3)` uint8 at a task's size `(T, H, W, 3)`; those that have it are not
    copied.
    """
    if crops.shape[1:3] != (spec.width, spec.width):
        size = (spec.width, spec.width)
        crops = np.stack([cv2.resize(crop, size, interpolation=cv2.INTER_AREA) for crop in crops])
    return crops[:, spec.width // 2 :] if spec.lower_half else crops


def cut_crop(spec: CropSpec, image: np.ndarray, face: TrackedFace) -> np.ndarray:
    """Return the crop `(height, width, 3)` of a face in an image `(H, W, 3)` uint8, for a task."""
    size = spec.width
    if spec.crop == "mouth":
        return cut_mouth(image, face.points, size)
    if spec.crop == "head":
        return cut_head(image, face.box, size)
    crop = cut_face(image, face.box, size)
    return crop[size // 2 :] if spec.lower_half else crop
