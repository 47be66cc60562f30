"""Frames to paint on: upright planes of luma and colour, exact copies of what was decoded."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame as DecodedFrame
from av.video.reformatter import VideoReformatter

from avsync.media.video_reader import Turn

# Formats that are copied as they are: bits of a sample, and samples of luma across and down for one
# of colour. All others are converted to the first.
FORMATS = {
    "yuv420p": (8, 2, 2),
    "yuv422p": (8, 2, 1),
    "yuv444p": (8, 1, 1),
    "yuv420p10le": (10, 2, 2),
    "yuv422p10le": (10, 2, 1),
    "yuv444p10le": (10, 1, 1),
}
FULL_RANGE = 2
# Shares of red and blue in luma by FFmpeg's number of the matrix: BT.709, SMPTE 240M, BT.2020.
MATRICES = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
# BT.601, which also stands where a file does not say, as in FFmpeg.
USUAL_MATRIX = (0.299, 0.114)


class Colours(NamedTuple):
    """What a file says of its colours, in FFmpeg's numbers."""

    matrix: int
    range: int
    primaries: int
    transfer: int


class Layout(NamedTuple):
    """How frames are stored: `width` and `height` of the upright luma, not yet stretched where
    pixels are not square; `stored` before they were turned.
    """

    format: str
    width: int
    height: int
    turn: Turn
    colours: Colours

    @property
    def stored(self) -> tuple[int, int]:
        return self.turn.size(self.width, self.height)

    def step(self, plane: int) -> tuple[int, int]:
        """Sample of luma across and down for one of a plane."""
        return FORMATS[self.format][1:] if plane else (1, 1)

    @property
    def peak(self) -> int:
        """The highest value of a sample."""
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


class Picture(NamedTuple):
    """An upright frame: planes Y, Cb and Cr `(H, W)`, uint8 or, of 10 bits, uint16."""

    planes: tuple[np.ndarray, ...]
    layout: Layout

    def frame(self) -> DecodedFrame:
        """Return the frame as a frame to encode; its time is still to be set."""
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


class Painter:
    """Decoded frames as frames of one layout: that of the first frame holds for all.

    Args:
        formats: the formats that will do; others are converted to yuv420p.
        odd: whether width and height may be odd where colour is stored at half of them; where not,
            such frames are converted to yuv444p.
    """

    def __init__(self, formats: Collection[str] = tuple(FORMATS), odd: bool = False) -> None:
        self.formats, self.odd = formats, odd
        self.scaler = VideoReformatter()
        self.layout: Layout | None = None

    def __call__(self, frame: DecodedFrame) -> Picture:
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
            # Copies, because a decoder may still look at its frames to decode the next ones.
            planes.append(layout.turn.apply(rows.copy()))
        return Picture(tuple(planes), layout)

    def _layout(self, frame: DecodedFrame) -> Layout:
        turn = Turn.of(frame)
        width, height = turn.size(frame.width, frame.height)
        name = _plain(frame.format.name)
        kept = name in FORMATS and name in self.formats
        turned = turn.rotation in (90, 270)
        if not kept or (turned and FORMATS[name][1] != FORMATS[name][2]):
            name = "yuv420p"
        if not self.odd and (width % FORMATS[name][1] or height % FORMATS[name][2]):
            name = "yuv444p"
        full = frame.format.name.startswith("yuvj")
        matrix, spread = int(frame.colorspace), FULL_RANGE if full else int(frame.color_range)
        if frame.format.is_rgb:  # What it is converted to is BT.601, of limited range.
            matrix, spread = 6, 1
        colours = Colours(matrix, spread, int(frame.color_primaries), int(frame.color_trc))
        return Layout(name, width, height, turn, colours)


def _plain(name: str) -> str:
    """Return the format of the same planes whose range is said elsewhere."""
    return name.replace("yuvj", "yuv")
