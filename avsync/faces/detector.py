"""Where the faces are in a picture: YuNet, or OpenCV's Haar cascade where YuNet cannot be had."""

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from avsync.faces.crops import Face
from avsync.weights import cache_folder, fetch

YUNET_URL = "https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/yunet_n_320_320.onnx"
YUNET_SHA256 = "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2"
YUNET_VARIABLE = "AVSYNC_YUNET"
DETECTORS = ("yunet", "haar")

# Overlapping finds that make a Haar face, and those that make it without an eye being found in it.
HAAR_MIN_VOTES = 3
HAAR_SURE_VOTES = 12
# Where YuNet's box and points lie in a Haar square of side 1 (see `HaarDetector`).
HAAR_BOX = np.array([0.11, -0.037, 0.89, 1.079])
HAAR_POINTS = np.array([[0.32, 0.405], [0.68, 0.405], [0.5, 0.619], [0.339, 0.787], [0.661, 0.787]])


class FaceDetector(Protocol):
    """Finds the faces in a picture `(H, W, 3)` uint8 RGB of any size, the surest first.

    `every` is how many ticks may lie between two looks: what it costs against how steady it is.
    """

    name: str
    every: int

    def __call__(self, image: np.ndarray) -> list[Face]: ...


class YuNetDetector:
    """YuNet, a 75 k-parameter network trained on WIDER FACE: boxes and five points.

    Args:
        model: the ONNX file; None looks where `find_yunet` does.
        pixels: pictures are scaled down to this many pixels; one in which that finds nothing is
            looked at once more at twice the width and height, for small faces.
        min_score: detections below are dropped.
    """

    name = "yunet"
    every = 5

    def __init__(
        self, model: str | Path | None = None, pixels: int = 320 * 180, min_score: float = 0.6
    ) -> None:
        path = find_yunet() if model is None else Path(model)
        if not path.is_file():
            raise RuntimeError(f"no YuNet model at {path}")
        self.pixels = pixels
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score, 0.3)
        except cv2.error as error:
            raise RuntimeError(f"{path} is not the YuNet model") from error

    def __call__(self, image: np.ndarray) -> list[Face]:
        _check_image(image)
        faces = self._detect(image, self.pixels)
        if not faces and image.shape[0] * image.shape[1] > 1.5 * self.pixels:
            faces = self._detect(image, 4 * self.pixels)
        return faces

    def _detect(self, image: np.ndarray, pixels: int) -> list[Face]:
        small, scale = scale_down(image, pixels)
        self._network.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self._network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        faces = []
        for row in rows[np.argsort(-rows[:, 14])]:
            x, y, width, height = row[:4] / scale
            # YuNet's points are named after the person's own sides: their right eye is the viewer's
            # left one.
            faces.append(
                Face(
                    np.array([x, y, x + width, y + height]),
                    row[4:14].reshape(5, 2).astype(np.float64) / scale,
                    float(row[14]),
                )
            )
        return faces


class HaarDetector:
    """The frontal cascade in the OpenCV wheel: needs no file and no network, loses turned heads.

    It gives squares only. Boxes and points are where they lie in such a square on average; the
    constants are medians over frames of GRID speaker 1 against YuNet, made symmetrical.

    Args:
        pixels: pictures are scaled down to this many pixels.
    """

    name = "haar"
    every = 10

    def __init__(self, pixels: int = 320 * 180) -> None:
        self.pixels = pixels
        self._faces = _cascade("haarcascade_frontalface_alt2.xml")
        self._eyes = _cascade("haarcascade_eye.xml")

    def __call__(self, image: np.ndarray) -> list[Face]:
        _check_image(image)
        small, scale = scale_down(image, self.pixels)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        squares, votes = self._faces.detectMultiScale2(
            grey, scaleFactor=1.1, minNeighbors=HAAR_MIN_VOTES, minSize=(20, 20)
        )
        found = sorted(
            zip(np.ravel(votes).tolist(), np.asarray(squares).tolist(), strict=True), reverse=True
        )
        return [
            face_in_square(np.array(square) / scale, count)
            for count, square in found
            if count >= HAAR_SURE_VOTES or self._has_an_eye(grey, square)
        ]

    def _has_an_eye(self, grey: np.ndarray, square: list[int]) -> bool:
        x, y, side, _ = square
        upper = cv2.resize(grey[y : y + round(0.6 * side), x : x + side], (96, 58))
        return len(self._eyes.detectMultiScale(upper, 1.1, 3, minSize=(16, 16))) > 0


def face_in_square(square: np.ndarray, votes: int) -> Face:
    """The face in a square `(4,)` (x, y, side, side) of the Haar cascade with so many votes."""
    corner, side = square[:2], square[2]
    box = np.concatenate([corner + side * HAAR_BOX[:2], corner + side * HAAR_BOX[2:]])
    return Face(box, corner + side * HAAR_POINTS, votes / (votes + 8))


def find_detector(name: str | None = None) -> FaceDetector:
    """The face detector of that name; None gives the best that can be had."""
    if name is not None and name not in DETECTORS:
        raise ValueError(f"detector must be one of {', '.join(DETECTORS)}, got {name!r}")
    if name == "haar":
        return HaarDetector()
    try:
        return YuNetDetector()
    except RuntimeError as error:
        if name == "yunet":
            raise
        _warn_of_haar(str(error))
        return HaarDetector()


def scale_down(image: np.ndarray, pixels: int) -> tuple[np.ndarray, float]:
    """The image with at most about so many pixels, and the scale that took."""
    height, width = image.shape[:2]
    scale = float(np.sqrt(pixels / (height * width)))
    if scale >= 1:
        return image, 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def find_yunet() -> Path:
    """The YuNet model: from `AVSYNC_YUNET`, the cache folder, or fetched into it once.

    Raises:
        RuntimeError: it is in none of these places and cannot be fetched.
    """
    named = os.environ.get(YUNET_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise RuntimeError(f"{YUNET_VARIABLE} names {named}, which is no file")
        return Path(named)
    cached = cache_folder() / Path(YUNET_URL).name
    failure = _fetch_failure(cached)
    if failure is not None:
        raise RuntimeError(failure)
    return cached


@cache
def _fetch_failure(destination: Path) -> str | None:
    # Cached, so that a machine without a network waits for an answer once in a process, not at
    # every detector.
    try:
        fetch(YUNET_URL, YUNET_SHA256, destination, timeout_s=5.0)
    except (RuntimeError, OSError) as error:
        return str(error)
    return None


@cache
def _warn_of_haar(cause: str) -> None:
    warnings.warn(
        "Faces are looked for with OpenCV's Haar cascade, which loses turned heads, because the "
        f"YuNet detector cannot be had: {cause}. Set {YUNET_VARIABLE} to its file to use it.",
        RuntimeWarning,
        stacklevel=3,
    )


def _cascade(name: str) -> cv2.CascadeClassifier:
    folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(str(folder / name))
    if cascade.empty():
        raise RuntimeError(f"this OpenCV has no {name}: avsync needs opencv-python-headless 4")
    return cascade


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
