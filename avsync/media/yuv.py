"""YUV frame buffers: upright Y, Cb and Cr planes, exact copies of decoded frames."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame as DecodedFrame
from av.video.reformatter import VideoReformatter

from avsync.media.rgb_converter import Rotation

# Formats that are copied without conversion: bits per sample, and horizontal and vertical chroma
# subsampling. All others are converted to the first.
FORMATS = {
    "yuv420p": (8, 2, 2),
    "yuv422p": (8, 2, 1),
    "yuv444p": (8, 1, 1),
    "yuv420p10le": (10, 2, 2),
    "yuv422p10le": (10, 2, 1),
    "yuv444p10le": (10, 1, 1),
}
FULL_RANGE = 2
# Luma coefficients of red and blue by FFmpeg's number of the matrix: BT.709, SMPTE 240M, BT.2020.
MATRICES = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
# BT.601, also the default if a file does not say, as in FFmpeg.
USUAL_MATRIX = (0.299, 0.114)


class ColourProperties(NamedTuple):
    """Colour properties of a stream, in FFmpeg's numbers."""

    matrix: int
    range: int
    primaries: int
    transfer: int


class Layout(NamedTuple):
    """Storage layout of frames.

    Args:
        format: pixel format, one of `FORMATS`.
        width: width of the upright luma plane, in stored (maybe non-square) pixels.
        height: height of the upright luma plane.
        rotation: from stored to upright frames.
        colours: colour properties.
    """

    format: str
    width: int
    height: int
    rotation: Rotation
    colours: ColourProperties

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height before rotation."""
        return self.rotation.size(self.width, self.height)

    def step(self, plane: int) -> tuple[int, int]:
        """Return the horizontal and vertical subsampling of a plane."""
        return FORMATS[self.format][1:] if plane else (1, 1)

    @property
    def peak(self) -> int:
        """Largest sample value."""
        return int(2 ** FORMATS[self.format][0] - 1)

    def encode(self, rgb: np.ndarray) -> np.ndarray:
        """Map RGB `(3, H, W)` in [0, 1] to samples of Y, Cb and Cr `(3, H, W)`, not rounded."""
        red, blue = MATRICES.get(self.colours.matrix, USUAL_MATRIX)
        luma = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
        colour = [(rgb[2] - luma) / (2 - 2 * blue), (rgb[0] - luma) / (2 - 2 * red)]
        unit = (self.peak + 1) // 256
        if self.colours.range == FULL_RANGE:
            return np.stack([self.peak * luma, *(128 * unit + self.peak * c for c in colour)])
        return unit * np.stack([16 + 219 * luma, *(128 + 224 * c for c in colour)])


class YuvFrame(NamedTuple):
    """An upright frame: planes Y, Cb and Cr `(H, W)`, uint8, or uint16 for 10 bits."""

    planes: tuple[np.ndarray, ...]
    layout: Layout

    def frame(self) -> DecodedFrame:
        """Return a PyAV frame to encode, without a timestamp."""
        layout = self.layout
        frame = DecodedFrame(layout.width, layout.height, layout.format)
        for plane, values in zip(frame.planes, self.planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size // values.itemsize), values.dtype)
            rows[:, : values.shape[1]] = values
            plane.update(rows.tobytes())
        frame.colorspace, frame.color_range = layout.colours.matrix, layout.colours.range
        frame.color_primaries = layout.colours.primaries
        frame.color_trc = layout.colours.transfer
        return frame


class YuvConverter:
    """Convert decoded frames to YUV buffers of one layout, that of the first frame.

    Args:
        formats: accepted pixel formats; others are converted to yuv420p.
        odd: whether odd sizes are accepted with subsampled chroma; if not, such frames are
            converted to yuv444p.
    """

    def __init__(self, formats: Collection[str] = tuple(FORMATS), odd: bool = False) -> None:
        self.formats, self.odd = formats, odd
        self.scaler = VideoReformatter()
        self.layout: Layout | None = None

    def __call__(self, frame: DecodedFrame) -> YuvFrame:
        if self.layout is None:
            self.layout = self._layout(frame)
        layout = self.layout
        width, height = layout.stored
        if (_plain(frame.format.name), frame.width, frame.height) != (layout.format, width, height):
            frame = self.scaler.reformat(
                frame,
                width,
                height,
                layout.format,
                dst_colorspace=layout.colours.matrix,
                dst_color_range=layout.colours.range,
                threads=1,
            )
        planes = []
        for plane in frame.planes:
            dtype = np.uint8 if layout.peak == 255 else np.uint16
            rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[
                :, : plane.width
            ]
            # Copies, because the decoder may still need its frames as references.
            planes.append(layout.rotation.apply(rows.copy()))
        return YuvFrame(tuple(planes), layout)

    def _layout(self, frame: DecodedFrame) -> Layout:
        rotation = Rotation.of(frame)
        width, height = rotation.size(frame.width, frame.height)
        name = _plain(frame.format.name)
        kept = name in FORMATS and name in self.formats
        turned = rotation.rotation in (90, 270)
        if not kept or (turned and FORMATS[name][1] != FORMATS[name][2]):
            name = "yuv420p"
        if not self.odd and (width % FORMATS[name][1] or height % FORMATS[name][2]):
            name = "yuv444p"
        full = frame.format.name.startswith("yuvj")
        matrix, spread = int(frame.colorspace), FULL_RANGE if full else int(frame.color_range)
        if frame.format.is_rgb:  # It is converted to BT.601 of limited range.
            matrix, spread = 6, 1
        colours = ColourProperties(matrix, spread, int(frame.color_primaries), int(frame.color_trc))
        return Layout(name, width, height, rotation, colours)


def _plain(name: str) -> str:
    """Return the format without its range: yuvj420p is yuv420p of full range."""
    return name.replace("yuvj", "yuv")
