"""A prepared clip's crops as a task wants them."""

import cv2
import numpy as np

from avsync.data.store import PreparedClip
from avsync.tasks.clip_spec import ClipSpec


def crops_for(spec: ClipSpec, clip: PreparedClip) -> np.ndarray:
    """Crops `(T, H, W, 3)` uint8 of a clip in the geometry of a task; what fits stays on disk.

    ValueError where the store was made without them.
    """
    stored = {"mouth": clip.mouth, "face": clip.face, "head": clip.head}[spec.crop]
    if stored is None:
        raise ValueError(
            f"clip {clip.id} has no {spec.crop} crops, which this model looks at: "
            f"make the store with avsync prepare --crops {spec.crop}"
        )
    if stored.shape[1:3] != (spec.width, spec.width):
        size = (spec.width, spec.width)
        stored = np.stack([cv2.resize(crop, size, interpolation=cv2.INTER_AREA) for crop in stored])
    return stored[:, spec.width // 2 :] if spec.lower_half else stored
