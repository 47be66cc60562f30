"""AV-HuBERT inputs for training: augmented greyscale mouths and filterbank energies."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from avsync.audio.fbank import StackedFbank
from avsync.data.augment_audio import augment_mel
from avsync.data.augment_video import augment_mouth
from avsync.encoders.dense_sync import LUMA
from avsync.tasks.input_spec import ClipSpec

Augment = Literal["both", "mouth", "voice", "none"]
# Training crops are this much larger than the model's, so that warping them loses no detail.
CROP_MARGIN = 8


def with_margin(spec: ClipSpec) -> ClipSpec:
    """Return the spec of the crops from which the crops of a task are augmented."""
    return replace(spec, height=spec.height + CROP_MARGIN, width=spec.width + CROP_MARGIN)


def mouth_batch(
    crops: Sequence[np.ndarray], size: int, augment: Augment, generator: Generator
) -> Tensor:
    """Stack mouth crops as a greyscale batch of the longest clip's length.

    Args:
        crops: crops `(T, S, S, 3)` uint8 of each clip; the last frame of the shorter ones repeats.
        size: height and width of the result.
        augment: `both` or `mouth` augments the mouths.
        generator: of the augmentation.

    Returns:
        Mouths `(B, T, size, size)` in [0, 1].
    """
    longest = max(map(len, crops))
    video = torch.from_numpy(np.stack([_padded_grey(crop, longest) for crop in crops]))
    if augment in ("both", "mouth"):
        return augment_mouth(video, size, generator)
    return F.interpolate(video, (size, size), mode="bilinear", antialias=True)


def fbank_batch(
    bands: Tensor, front_end: StackedFbank, augment: Augment, generator: Generator
) -> Tensor:
    """Stack log filterbank energies `(B, 26, 4 T)` to one vector per video frame `(B, T, 104)`.

    Args:
        bands: log energies.
        front_end: the front end that computed them.
        augment: `both` or `voice` augments the energies.
        generator: of the augmentation.
    """
    if augment in ("both", "voice"):
        bands = augment_mel(bands, generator)
    return front_end.stack(bands)


def _padded_grey(crops: np.ndarray, length: int) -> np.ndarray:
    grey = crops @ (np.asarray(LUMA, np.float32) / 255)
    return np.pad(grey, ((0, length - len(grey)), (0, 0), (0, 0)), mode="edge")
