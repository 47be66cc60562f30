"""Detect faces in an image: YuNet, which the package contains, or OpenCV's Haar cascade."""

import os
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from avsync.faces.crops import Face
from avsync.weights import PRETRAINED, sha256_of

YUNET_FILE = "yunet_n_320_320.onnx"
YUNET_SHA256 = "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2"
YUNET_VARIABLE = "AVSYNC_YUNET"
DETECTORS = ("yunet", "haar")

# Overlapping detections that a Haar face needs, and those that it needs if no eye is found in it.
HAAR_MIN_VOTES = 3
HAAR_SURE_VOTES = 12
# YuNet's box and points in a Haar square of side 1 (see `HaarDetector`).
HAAR_BOX = np.array([0.11, -0.037, 0.89, 1.079])
HAAR_POINTS = np.array([[0.32, 0.405], [0.68, 0.405], [0.5, 0.619], [0.339, 0.787], [0.661, 0.787]])


class FaceDetector(Protocol):
    """Detects the faces in an image `(H, W, 3)` uint8 RGB of any size, most confident first.

    `stride` is how many frames apart it should run on a video: its cost against its steadiness.
    """

    name: str
    stride: int

    def __call__(self, image: np.ndarray) -> list[Face]: ...


def find_detector(name: str | None = None) -> FaceDetector:
    """Create the face detector of a name.

    Args:
        name: one of `DETECTORS`; None is YuNet.

    Raises:
        ValueError: no detector has this name.
        RuntimeError: the file of YuNet is missing or damaged.
    """
    if name is not None and name not in DETECTORS:
        raise ValueError(f"detector must be one of {', '.join(DETECTORS)}, got {name!r}")
    return HaarDetector() if name == "haar" else YuNetDetector()


class YuNetDetector:
    """YuNet, a network of 75 k parameters trained on WIDER FACE: boxes and five points.

    Args:
        model: another ONNX file of the network; by default `locate_yunet_model` finds it.
        pixels: images are scaled down to this many pixels; if nothing is found in a larger image,
            it is scaled to twice that width and height and tried once more, for small faces.
        min_score: detections below this confidence are dropped.
    """

    name = "yunet"
    stride = 5

    def __init__(
        self, model: str | Path | None = None, pixels: int = 320 * 180, min_score: float = 0.6
    ) -> None:
        path = locate_yunet_model() if model is None else Path(model)
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
            # YuNet names its points after the person's own sides: their right eye is the viewer's
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
    """The frontal Haar cascade of the OpenCV wheel, which loses turned heads.

    The cascade returns squares only. Boxes and points are placed where they are in such a square on
    average: the constants are medians over frames of GRID speaker 1 against YuNet, made symmetric.

    Args:
        pixels: images are scaled down to this many pixels.
    """

    name = "haar"
    stride = 10

    def __init__(self, pixels: int = 320 * 180) -> None:
        self.pixels = pixels
        self._faces = _load_cascade("haarcascade_frontalface_alt2.xml")
        self._eyes = _load_cascade("haarcascade_eye.xml")

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
    """Return the face in a square `(4,)` (x, y, side, side) that got `votes` Haar detections."""
    corner, side = square[:2], square[2]
    box = np.concatenate([corner + side * HAAR_BOX[:2], corner + side * HAAR_BOX[2:]])
    return Face(box, corner + side * HAAR_POINTS, votes / (votes + 8))


def scale_down(image: np.ndarray, pixels: int) -> tuple[np.ndarray, float]:
    """Return the image with about `pixels` pixels at most, and the scale factor."""
    height, width = image.shape[:2]
    scale = float(np.sqrt(pixels / (height * width)))
    if scale >= 1:
        return image, 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale


def locate_yunet_model() -> Path:
    """Return the YuNet model: the file that `AVSYNC_YUNET` names, or the one in the package.

    Raises:
        RuntimeError: `AVSYNC_YUNET` names no file, or the one in the package is missing or damaged.
    """
    named = os.environ.get(YUNET_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise RuntimeError(f"{YUNET_VARIABLE} names {named}, which is no file")
        return Path(named)
    shipped = PRETRAINED / YUNET_FILE
    if not shipped.is_file():
        raise RuntimeError(f"there is no face detector {shipped}: reinstall avsync")
    if (found := sha256_of(shipped)) != YUNET_SHA256:
        raise RuntimeError(
            f"{shipped} is damaged: sha256 {found}, expected {YUNET_SHA256}; reinstall avsync"
        )
    return shipped


def _load_cascade(name: str) -> cv2.CascadeClassifier:
    folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(str(folder / name))
    if cascade.empty():
        raise RuntimeError(f"this OpenCV has no {name}: avsync needs opencv-python-headless 4")
    return cascade


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
