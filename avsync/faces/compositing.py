"""A drawn face back into its picture: its lower half alone, with soft edges."""

from math import ceil, floor
from typing import NamedTuple

import cv2
import numpy as np

from avsync.faces.crops import s3fd_box
from avsync.media.yuv import Picture

# Over which part of the face's box the drawn face fades in, in shares of its height and width: from
# the middle down, where models draw (the tip of the nose lies at 0.6, the mouth at 0.8), and from
# the other edges inwards.
TOP, BOTTOM, SIDES = (0.5, 0.62), (1.0, 0.88), (0.0, 0.2)


def composite_face(picture: Picture, drawn: np.ndarray, box: np.ndarray) -> None:
    """Paints the lower half of a drawn face over that of a picture.

    Where the mask is 0 the picture's samples stay what they are, to the bit.

    Args:
        picture: painted on in place.
        drawn: RGB `(3, S, S)` in [0, 1], cut as `cut_face` cuts.
        box: the face's own `(4,)`, x0, y0, x1, y1 in shares of the picture's width and height.
    """
    layout = picture.layout
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64)).tolist()
    for number, samples in enumerate(layout.encode(drawn.astype(np.float32))):
        plane = picture.planes[number]
        across, down = layout.step(number)
        columns = _covered(x0, x1, layout.width / across, plane.shape[1])
        rows = _covered(y0, y1, layout.height / down, plane.shape[0])
        part = plane[rows.covered, columns.covered]
        if not part.size:
            continue
        laid = _laid(samples, columns, rows)
        mask = face_mask(columns.shares, rows.shares)
        part[:] = np.rint(part + mask * (laid - part)).clip(0, layout.peak)


def face_mask(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """How much of a drawn face is shown `(rows, columns)`, in [0, 1], at places in shares of its
    box's width `(columns,)` and height `(rows,)`.
    """
    sides = _rise(np.minimum(across, 1 - across), *SIDES)
    return _rise(down, *TOP)[:, None] * _rise(-down, *(-edge for edge in BOTTOM))[:, None] * sides


def _rise(at: np.ndarray, start: float, end: float) -> np.ndarray:
    """From 0 at `start` to 1 at `end`, without a corner at either."""
    share = ((at - start) / (end - start)).clip(0, 1)
    return share * share * (3 - 2 * share)


class _Line(NamedTuple):
    """The samples of a plane that a box covers along one axis, where they lie in the box, in
    shares, and how many there are in the box's whole length.
    """

    covered: slice
    shares: np.ndarray
    length: float


def _covered(low: float, high: float, extent: float, samples: int) -> _Line:
    """The samples of an axis with `samples` of them, `extent` to the picture's length."""
    first, last = max(0, floor(low * extent)), max(0, min(samples, ceil(high * extent)))
    length = max((high - low) * extent, 1.0)
    # Centres of samples lie at halves, for the plane as for the crop.
    shares = (np.arange(first, last) + 0.5 - low * extent) / length
    return _Line(slice(first, last), shares, length)


def _laid(drawn: np.ndarray, columns: _Line, rows: _Line) -> np.ndarray:
    """A drawn plane `(S, S)` at the samples that are covered `(rows, columns)`."""
    # A face smaller than it was drawn is averaged down first: the warp looks at single samples.
    width, height = (_fitting(len(drawn), line.length) for line in (columns, rows))
    if (height, width) != drawn.shape:
        drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    x = np.tile((columns.shares * width - 0.5).astype(np.float32), (len(rows.shares), 1))
    y = np.tile((rows.shares * height - 0.5).astype(np.float32)[:, None], (1, x.shape[1]))
    laid: np.ndarray = cv2.remap(drawn, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return laid


def _fitting(size: int, length: float) -> int:
    """A whole fraction of a size that is no more than 1.5 times a length."""
    return max(1, round(size / max(1, round(size / length))))
