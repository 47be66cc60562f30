"""Composite a generated face into a video frame: its lower half only, with soft edges."""

from math import ceil, floor
from typing import NamedTuple

import cv2
import numpy as np

from avsync.faces.crops import s3fd_box
from avsync.media.yuv import YuvFrame

# Where the generated face fades in, in fractions of its box's height and width: from the middle
# down, which is where models draw (the tip of the nose is at 0.6, the mouth at 0.8), and from the
# other edges inwards.
TOP, BOTTOM, SIDES = (0.5, 0.62), (1.0, 0.88), (0.0, 0.2)


def composite_face(frame: YuvFrame, generated: np.ndarray, box: np.ndarray) -> None:
    """Blend the lower half of a generated face into a frame, in place.

    Samples where the mask is 0 keep their exact values.

    Args:
        frame: YUV frame buffer to modify.
        generated: RGB `(3, S, S)` in [0, 1], a face as `cut_face` crops it.
        box: the face's box in the frame `(4,)`: x0, y0, x1, y1 in fractions of width and height.
    """
    layout = frame.layout
    x0, y0, x1, y1 = s3fd_box(box.astype(np.float64)).tolist()
    for number, values in enumerate(layout.encode(generated.astype(np.float32))):
        plane = frame.planes[number]
        step_x, step_y = layout.step(number)
        columns = _covered_samples(x0, x1, layout.width / step_x, plane.shape[1])
        rows = _covered_samples(y0, y1, layout.height / step_y, plane.shape[0])
        region = plane[rows.covered, columns.covered]
        if not region.size:
            continue
        resampled = _resample(values, columns, rows)
        mask = face_mask(columns.positions, rows.positions)
        region[:] = np.rint(region + mask * (resampled - region)).clip(0, layout.peak)


def face_mask(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the opacity `(rows, columns)` of a generated face, in [0, 1].

    Args:
        x: positions `(columns,)` in fractions of the box's width.
        y: positions `(rows,)` in fractions of the box's height.
    """
    sides = _ramp(np.minimum(x, 1 - x), *SIDES)
    return _ramp(y, *TOP)[:, None] * _ramp(-y, *(-edge for edge in BOTTOM))[:, None] * sides


def _ramp(x: np.ndarray, start: float, end: float) -> np.ndarray:
    """Rise from 0 at `start` to 1 at `end` with a continuous slope."""
    fraction = ((x - start) / (end - start)).clip(0, 1)
    return fraction * fraction * (3 - 2 * fraction)


class _AxisCoverage(NamedTuple):
    """The samples of a plane that a box covers along one axis.

    `positions` are the samples' centres in fractions of the box, `length` is the box's length in
    samples.
    """

    covered: slice
    positions: np.ndarray
    length: float


def _covered_samples(low: float, high: float, extent: float, samples: int) -> _AxisCoverage:
    """Return what a box covers of an axis with `samples` samples, `extent` to the frame's size."""
    first, last = max(0, floor(low * extent)), max(0, min(samples, ceil(high * extent)))
    length = max((high - low) * extent, 1.0)
    # Centres of samples are at half-integers, in the plane as in the crop.
    positions = (np.arange(first, last) + 0.5 - low * extent) / length
    return _AxisCoverage(slice(first, last), positions, length)


def _resample(generated: np.ndarray, columns: _AxisCoverage, rows: _AxisCoverage) -> np.ndarray:
    """Resample a generated plane `(S, S)` at the covered samples `(rows, columns)`."""
    # A face smaller than the generated one is averaged down first: remap reads single samples.
    width, height = (_reduced_size(len(generated), axis.length) for axis in (columns, rows))
    if (height, width) != generated.shape:
        generated = cv2.resize(generated, (width, height), interpolation=cv2.INTER_AREA)
    x = np.tile((columns.positions * width - 0.5).astype(np.float32), (len(rows.positions), 1))
    y = np.tile((rows.positions * height - 0.5).astype(np.float32)[:, None], (1, x.shape[1]))
    resampled: np.ndarray = cv2.remap(
        generated, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return resampled


def _reduced_size(size: int, length: float) -> int:
    """Return an integer fraction of `size` that is at most 1.5 times `length`."""
    return max(1, round(size / max(1, round(size / length))))
