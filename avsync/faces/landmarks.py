"""Detect the 68 landmarks of a face, and align them to an upright mean face, as Y-Net-g takes them.

Source: Montesinos, Kadandale and Haro, A cappella: audio-visual singing voice separation, 2021.
The order is that of iBUG's 68 points: jaw 0 to 16, brows to 26, nose to 35, eyes to 47, lips to 67.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from avsync.faces.crops import Face
from avsync.weights import cache_folder, fetch

NUM_LANDMARKS = 68
MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task"
)
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
MODEL_VARIABLE = "AVSYNC_FACE_LANDMARKER"
# The point of MediaPipe's 478-point mesh that stands for each of the 68. MediaPipe's jaw follows
# the visible edge of the face, iBUG's the bone.
MESH_TO_68 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
# Side of the crop passed to MediaPipe in units of the face's box, so that its own detector finds
# the face.
CROP_SCALE = 2.0

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


class MediaPipeLandmarker:
    """MediaPipe's face mesh, reduced to 68 points; use as a context manager or call `close`.

    Args:
        model: the file `face_landmarker.task`; by default `locate_landmarker_model` finds it.

    Raises:
        RuntimeError: MediaPipe is not installed, or the file is not its model.
    """

    name = "mediapipe"

    def __init__(self, model: str | Path | None = None) -> None:
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise RuntimeError(
                "landmarks by MediaPipe need it installed: pip install 'avsync[landmarks]'"
            ) from error
        path = locate_landmarker_model() if model is None else Path(model)
        if not path.is_file():
            raise RuntimeError(f"no face landmarker at {path}")
        options = vision.FaceLandmarkerOptions(
            # As bytes: MediaPipe takes a relative path as one inside its own package.
            base_options=BaseOptions(model_asset_buffer=path.read_bytes()),
            num_faces=1,
        )
        try:
            self._network = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise RuntimeError(f"{path} is not MediaPipe's face landmarker: {error}") from error
        self._image, self._rgb = mediapipe.Image, mediapipe.ImageFormat.SRGB

    def __enter__(self) -> "MediaPipeLandmarker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the network."""
        self._network.close()

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray | None:
        crop, corner = crop_around(image, face.box)
        found = self._network.detect(self._image(image_format=self._rgb, data=crop))
        if not found.face_landmarks:
            return None
        mesh = found.face_landmarks[0]
        points = np.array([[mesh[index].x, mesh[index].y] for index in MESH_TO_68])
        return points * crop.shape[1::-1] + corner


def crop_around(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop the square `CROP_SCALE` times as wide as a box, repeating the image's edges.

    Args:
        image: `(H, W, 3)`.
        box: `(4,)` in pixels.

    Returns:
        The crop, and its upper left corner `(2,)` in the image.
    """
    half = max(1, round(CROP_SCALE * max(box[2] - box[0], box[3] - box[1]) / 2))
    left, top = round((box[0] + box[2]) / 2) - half, round((box[1] + box[3]) / 2) - half
    rows = np.arange(top, top + 2 * half).clip(0, image.shape[0] - 1)
    columns = np.arange(left, left + 2 * half).clip(0, image.shape[1] - 1)
    return np.ascontiguousarray(image[rows[:, None], columns]), np.array([left, top], float)


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


def locate_landmarker_model() -> Path:
    """Return MediaPipe's model: from `AVSYNC_FACE_LANDMARKER`, or the cache, downloaded once.

    Raises:
        RuntimeError: `AVSYNC_FACE_LANDMARKER` names no file, or the download fails.
    """
    named = os.environ.get(MODEL_VARIABLE)
    if not named:
        return fetch(MODEL_URL, MODEL_SHA256, cache_folder() / Path(MODEL_URL).name)
    if not Path(named).is_file():
        raise RuntimeError(f"{MODEL_VARIABLE} names {named}, which is no file")
    return Path(named)
