"""LSE-D and LSE-C: distance and confidence of lip-sync, as SyncNet's evaluation computes them
(Chung and Zisserman, Out of Time, 2016; named by Prajwal et al., Wav2Lip, 2020).

The published figures are those of SyncNet's embeddings. With another model's they are numbers of
that model, to be compared with nothing else.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from avsync.metrics.sync_accuracy import MAX_SHIFT

MEDIAN_FRAMES = 9


class LipSyncError(NamedTuple):
    """How far lips and voice of a clip lie apart.

    `offset` is the shift of least distance, in frames, positive = the audio leads. `lse_d` is the
    mean distance there, lower is better; `lse_c` the median over all shifts less `lse_d`, higher is
    better. `distances` `(31,)` is the mean at every shift, from +15 to -15 frames. `confidence`
    `(n,)` is the median less each window's distance at `offset`, median-filtered over 9 windows.
    """

    offset: int
    lse_d: float
    lse_c: float
    distances: Tensor
    confidence: Tensor


def lip_sync_error(video: Tensor, audio: Tensor) -> LipSyncError:
    """LSE-D, LSE-C and the offset of a clip from embeddings `(n, D)` of its windows, by frame.

    Shifts that reach outside the clip meet zero vectors and count like any other: at the ends of a
    clip the figure measures how long the vectors are.
    """
    check_embeddings(video, audio)
    distances = distance_band(video, audio)
    mean = distances.mean(0)
    best = int(mean.argmin())
    # 31 shifts have one middle.
    median = mean.median()
    confidence = _median_filter(median - distances[:, best])
    lse_d = mean[best]
    return LipSyncError(MAX_SHIFT - best, float(lse_d), float(median - lse_d), mean, confidence)


def distance_band(video: Tensor, audio: Tensor) -> Tensor:
    """Euclidean distances `(n, 31)` of video `(n, D)`; column c is to audio window i + c - 15.

    One shift at a time: memory grows with n, not with 31 n. As torch's `pairwise_distance` has it,
    1e-6 is added to every difference.
    """
    padded = F.pad(audio, (0, 0, MAX_SHIFT, MAX_SHIFT))
    columns = [padded[c : c + len(video)] for c in range(2 * MAX_SHIFT + 1)]
    return torch.stack([F.pairwise_distance(video, column) for column in columns], dim=1)


def check_embeddings(video: Tensor, audio: Tensor) -> None:
    """ValueError unless both are finite `(n, D)` of the same shape."""
    if video.ndim != 2 or video.shape != audio.shape or not len(video):
        shapes = f"{tuple(video.shape)} and {tuple(audio.shape)}"
        raise ValueError(f"video and audio must both be (n, D), got {shapes}")
    for name, tensor in (("video", video), ("audio", audio)):
        if not tensor.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")


def _median_filter(values: Tensor) -> Tensor:
    """Median over `MEDIAN_FRAMES` of values `(n,)`, zeros beyond the ends as scipy's `medfilt`."""
    half = MEDIAN_FRAMES // 2
    return F.pad(values, (half, half)).unfold(0, MEDIAN_FRAMES, 1).median(-1).values


# Rows of the n x n distances that are held at once.
ROWS = 256


def primacy_index(video: Tensor, audio: Tensor) -> float:
    """PRI of embeddings `(n, D)` of a clip's windows, in [1 / n, 1]; lower is better.

    With M_ij the L1 distance of audio i and video j, t_i is the rank of M_ii in row i, and PRI the
    sum of t_i over n squared. The paper states neither order nor ties: here rank 1 is the smallest
    distance, and equal distances share the mean of their ranks, so that embeddings that say nothing
    get what chance gives.
    """
    check_embeddings(video, audio)
    count = len(video)
    total = 0.0
    for start in range(0, count, ROWS):
        distances = torch.cdist(audio[start : start + ROWS], video, p=1)
        own = distances.diagonal(start)[:, None]
        below, equal = (distances < own).sum(1), (distances == own).sum(1)
        total += float((below + (equal + 1) / 2).sum(dtype=torch.float64))
    return total / count**2


def chance_primacy_index(count: int) -> float:
    """PRI of `count` windows that are ranked by chance, (n + 1) / (2 n)."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    return (count + 1) / (2 * count)
