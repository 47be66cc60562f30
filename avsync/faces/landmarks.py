"""68 landmarks of a face, and where they would lie on a mean face seen upright, as Y-Net-g has them
(Montesinos, Kadandale and Haro, A cappella: audio-visual singing voice separation, 2021).

The order is that of iBUG's 68 points: jaw 0 to 16, brows to 26, nose to 35, eyes to 47, lips to 67.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from avsync.faces.crops import Face
from avsync.weights import cache_folder, fetch

POINTS = 68
MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task"
)
MODEL_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
MODEL_VARIABLE = "AVSYNC_FACE_LANDMARKER"
# Which of MediaPipe's 478 mesh points stands for each of the 68. Its jaw runs along the edge of the
# face as it is seen, iBUG's along the bone.
MESH_TO_68 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
# What is looked at is this many times the face's box, so that the mesh's own detector finds it.
AROUND = 2.0

# Under the nose and the corners of the eyes: where the mean face has them, in a picture of 224 by
# 244 pixels.
STEADY = (33, 36, 39, 42, 45)
MEAN_FACE = np.array(
    [[116.95, 123.796], [45.512, 43.462], [84.545, 45.623], [143.671, 43.024], [182.164, 39.638]]
)
# That picture becomes one of 96 by 128.
TO_ALIGNED = np.array([96 / 224, 128 / 244])


class Landmarker(Protocol):
    """Finds the 68 points `(68, 2)`, x and y in pixels, of a face in a picture `(H, W, 3)` uint8
    RGB; None where it sees none there.
    """

    name: str

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray | None: ...


class MediaPipeLandmarker:
    """MediaPipe's face mesh, of which 68 points are taken; a context, or closed by `close`.

    Args:
        model: `face_landmarker.task`; None looks where `find_landmarker` does.

    RuntimeError where MediaPipe is not installed or the model is none.
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
        path = find_landmarker() if model is None else Path(model)
        if not path.is_file():
            raise RuntimeError(f"no face landmarker at {path}")
        options = vision.FaceLandmarkerOptions(
            # Given as bytes: it would take a relative path for one inside its own package.
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
        self._network.close()

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray | None:
        around, corner = crop_around(image, face.box)
        found = self._network.detect(self._image(image_format=self._rgb, data=around))
        if not found.face_landmarks:
            return None
        mesh = found.face_landmarks[0]
        points = np.array([[mesh[each].x, mesh[each].y] for each in MESH_TO_68])
        return points * around.shape[1::-1] + corner


def crop_around(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The square `AROUND` times as wide as a box `(4,)` of an image `(H, W, 3)`, its edges repeated
    where it reaches over them, and its upper left corner `(2,)` in the image.
    """
    half = max(1, round(AROUND * max(box[2] - box[0], box[3] - box[1]) / 2))
    left, top = round((box[0] + box[2]) / 2) - half, round((box[1] + box[3]) / 2) - half
    rows = np.arange(top, top + 2 * half).clip(0, image.shape[0] - 1)
    columns = np.arange(left, left + 2 * half).clip(0, image.shape[1] - 1)
    return np.ascontiguousarray(image[rows[:, None], columns]), np.array([left, top], float)


def align_to_mean_face(points: np.ndarray) -> np.ndarray:
    """Maps landmarks `(T, 68, 2)` in pixels of a picture to `(T, 68, 2)` float32 in pixels of the
    aligned face, 96 wide and 128 high.

    Each frame is turned, scaled and moved on its own, so that nose and eyes come nearest to the
    mean face's, as in the published pipeline; that one then finds the points anew in the aligned
    picture and keeps whole pixels. NaN, for a frame without a face, becomes zeros, as there.
    """
    if points.ndim != 3 or points.shape[1:] != (POINTS, 2):
        raise ValueError(f"points must be (T, {POINTS}, 2), got {points.shape}")
    there = np.isfinite(points).all((1, 2))
    # Complex numbers: a similarity is a product and a sum.
    numbers = points[there, :, 0] + 1j * points[there, :, 1].astype(np.float64)
    mean = MEAN_FACE[:, 0] + 1j * MEAN_FACE[:, 1]
    steady = numbers[:, STEADY]
    middle, spread = steady.mean(1, keepdims=True), mean - mean.mean()
    offsets = steady - middle
    size = (np.abs(offsets) ** 2).sum(1, keepdims=True)
    if (size == 0).any():
        raise ValueError("points must not all lie in one place, as they do in a frame of zeros")
    turn = (offsets.conj() * spread).sum(1, keepdims=True) / size
    moved = turn * (numbers - middle) + mean.mean()
    aligned = np.zeros(points.shape, np.float32)
    aligned[there] = np.stack([moved.real, moved.imag], -1) * TO_ALIGNED
    return aligned


def find_landmarker() -> Path:
    """MediaPipe's model: from `AVSYNC_FACE_LANDMARKER`, the cache folder, or fetched into it once.

    RuntimeError where it is in none of these places and cannot be fetched.
    """
    named = os.environ.get(MODEL_VARIABLE)
    if not named:
        return fetch(MODEL_URL, MODEL_SHA256, cache_folder() / Path(MODEL_URL).name)
    if not Path(named).is_file():
        raise RuntimeError(f"{MODEL_VARIABLE} names {named}, which is no file")
    return Path(named)
