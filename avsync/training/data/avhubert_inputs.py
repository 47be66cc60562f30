"""Mouths and voices as an AV-HuBERT is shown them in training: grey, altered, of one length."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from avsync.audio.fbank import StackedFbank
from avsync.data.augment_video import augment_mel, augment_mouth
from avsync.encoders.dense_sync import LUMA
from avsync.tasks.input_spec import ClipSpec

Augment = Literal["both", "mouth", "voice", "none"]
# Training crops are this much larger than the model's, so that warping them loses no detail.
CROP_MARGIN = 8


def with_margin(spec: ClipSpec) -> ClipSpec:
    """Return what is cut for training a task of that spec."""
    return replace(spec, height=spec.height + CROP_MARGIN, width=spec.width + CROP_MARGIN)


def mouths(
    crops: Sequence[np.ndarray], size: int, augment: Augment, generator: Generator
) -> Tensor:
    """Crops `(T, S, S, 3)` uint8 of each clip as grey mouths `(B, T, size, size)` in [0, 1]: of the
    longest clip's length, the last frame of the others standing still.
    """
    longest = max(map(len, crops))
    grey = [_grey(crop, longest) for crop in crops]
    video = torch.from_numpy(np.stack(grey))
    if augment in ("both", "mouth"):
        return augment_mouth(video, size, generator)
    return F.interpolate(video, (size, size), mode="bilinear", antialias=True)


def voices(
    bands: Tensor, front_end: StackedFbank, augment: Augment, generator: Generator
) -> Tensor:
    """Log energies `(B, 26, 4 T)` as frames `(B, T, 104)`."""
    if augment in ("both", "voice"):
        bands = augment_mel(bands, generator)
    return front_end.stack(bands)


def _grey(crops: np.ndarray, length: int) -> np.ndarray:
    grey = crops @ (np.asarray(LUMA, np.float32) / 255)
    return np.pad(grey, ((0, length - len(grey)), (0, 0), (0, 0)), mode="edge")
