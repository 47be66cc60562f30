"""Convert decoded frames to upright RGB with square pixels."""

from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.video.frame import VideoFrame as DecodedFrame
from av.video.reformatter import Interpolation, VideoReformatter

from avsync.media.container import UnreadableMedia

# Anamorphic video has pixels twice as wide as high.
MAX_PIXEL_RATIO = 4.0


class Rotation(NamedTuple):
    """Display orientation: a vertical flip, then a clockwise rotation by right angles."""

    rotation: int = 0
    flip: bool = False

    @classmethod
    def of(cls, frame: DecodedFrame) -> "Rotation":
        """Read a frame's display matrix, rounded to right angles."""
        try:
            matrix = np.frombuffer(cast(Any, frame.side_data)["DISPLAYMATRIX"], np.int32)[:5]
        except KeyError:
            return cls()
        a, b, _, c, d = (float(value) for value in matrix)
        flip = a * d - b * c < 0
        # The matrix maps the x axis to (a, b), with y pointing down: a clockwise angle.
        angle = np.degrees(np.arctan2(b, a))
        return cls(round(angle / 90) % 4 * 90, flip)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the upright frame."""
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Map a stored image `(H, W, 3)` to the upright one, contiguous."""
        if self.flip:
            image = image[::-1]
        return np.ascontiguousarray(np.rot90(image, -self.rotation // 90))


def pixel_ratio(stream: av.VideoStream) -> float:
    """Return the pixel aspect ratio (width over height); 1 if it is missing or implausible."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / MAX_PIXEL_RATIO <= ratio <= MAX_PIXEL_RATIO else 1.0


class RgbConverter:
    """Convert decoded frames to upright RGB of one shape: size and rotation of the first frame.

    Args:
        ratio: pixel aspect ratio, width over height.
        max_side: largest longer side, in pixels.
    """

    def __init__(self, ratio: float = 1.0, max_side: int | None = None) -> None:
        self.ratio = ratio
        self.max_side = max_side
        self.scaler = VideoReformatter()
        self.size: tuple[int, int] | None = None
        self.rotation = Rotation()

    def __call__(self, frame: DecodedFrame) -> np.ndarray:
        if self.size is None:
            self.rotation = Rotation.of(frame)
            self.size = _fit(round(self.ratio * frame.width), frame.height, self.max_side)
        width, height = self.size
        # The fast scaler interpolates two pixels: below half the size it would skip pixels.
        fast = 2 * width >= frame.width
        how = Interpolation.FAST_BILINEAR if fast else Interpolation.AREA
        # One thread: the decoder's threads already use all cores.
        try:
            rgb = self.scaler.reformat(frame, width, height, "rgb24", interpolation=how, threads=1)
        except (av.error.FFmpegError, ValueError) as error:
            cause = f"frames of format {frame.format.name} cannot be converted"
            raise UnreadableMedia("damaged", cause) from error
        return self.rotation.apply(rgb.to_ndarray())


def _fit(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    scale = min(1.0, (max_side or max(width, height)) / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
