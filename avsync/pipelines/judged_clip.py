"""A clip of a face that was made to talk, as judges are shown it, and how like the truth it is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

from avsync.data.clip_crops import CropSpec
from avsync.metrics.psnr import psnr
from avsync.metrics.ssim import ssim


class Likeness(NamedTuple):
    """How like the true one the lower half of a face is: PSNR in dB and SSIM, see
    `metrics.psnr`.
    """

    psnr: float
    ssim: float


class JudgedClip(NamedTuple):
    """A face that was made to talk, and the voice it should fit.

    `crops` gives what a model looks at, `(T, H, W, 3)` uint8; `wav` `(640 T,)` at 16 kHz starts
    with the first frame. What is said lies in `source` from `start_s` to `end_s`. `likeness` is
    None where there is no true clip. `true_crops` gives the true face likewise, None where it is
    not at hand.
    """

    name: str
    crops: Callable[[CropSpec], np.ndarray]
    wav: np.ndarray
    source: str
    start_s: float
    end_s: float
    likeness: Likeness | None
    true_crops: Callable[[CropSpec], np.ndarray] | None = None


def likeness(made: Tensor, true: Tensor) -> Likeness:
    """Of the lower halves of faces `(T, 3, 96, 96)` in [0, 1]."""
    half = true.shape[2] // 2
    return Likeness(
        psnr(made[:, :, half:], true[:, :, half:]), ssim(made[:, :, half:], true[:, :, half:])
    )
