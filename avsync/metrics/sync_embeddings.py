"""Lip-sync metrics from embeddings: LSE-D, LSE-C and the primacy index (PRI).

LSE-D and LSE-C are the distance and confidence of SyncNet's evaluation. Published values are from
SyncNet's embeddings; values from another model's are not comparable with them.

Source: Chung and Zisserman, Out of Time (2016), for the evaluation; Prajwal et al., Wav2Lip (2020),
for the names; SyncTalklip, supplement 6.1, for the primacy index.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from avsync.metrics.sync_accuracy import MAX_SHIFT

MEDIAN_FRAMES = 9
# Rows of the n x n distances that are held at once.
ROWS = 256


class LipSyncError(NamedTuple):
    """Lip-sync error of a clip: LSE-D, LSE-C and offset.

    Args:
        offset: shift of least mean distance, in frames, positive if the audio leads.
        lse_d: LSE-D, the mean distance at `offset`; lower is better.
        lse_c: LSE-C, the median over all shifts less `lse_d`; higher is better.
        distances: mean distance at every shift `(31,)`, from +15 to -15 frames.
        confidence: median less each window's distance at `offset` `(n,)`, median-filtered over 9
            windows.
    """

    offset: int
    lse_d: float
    lse_c: float
    distances: Tensor
    confidence: Tensor


def lip_sync_error(video: Tensor, audio: Tensor) -> LipSyncError:
    """Compute LSE-D, LSE-C and the offset of a clip from the embeddings of its windows.

    Windows outside the clip count as zero vectors, so near the ends of a clip the distances depend
    on the norms of the embeddings.

    Args:
        video: embeddings `(n, D)` of the video windows, one per frame.
        audio: embeddings `(n, D)` of the audio windows.

    Source: SyncNet's released evaluation code.
    """
    check_embeddings(video, audio)
    distances = distance_band(video, audio)
    mean = distances.mean(0)
    best = int(mean.argmin())
    # Of 31 shifts, an odd number, torch's median is the middle value.
    median = mean.median()
    confidence = _median_filter(median - distances[:, best])
    lse_d = mean[best]
    return LipSyncError(MAX_SHIFT - best, float(lse_d), float(median - lse_d), mean, confidence)


def distance_band(video: Tensor, audio: Tensor) -> Tensor:
    """Compute Euclidean distances over 31 shifts, one shift at a time to save memory.

    Args:
        video: embeddings `(n, D)`.
        audio: embeddings `(n, D)`.

    Returns:
        Distances `(n, 31)`; column c is to audio window i + c - 15. As in torch's
        `pairwise_distance`, 1e-6 is added to every difference.
    """
    padded = F.pad(audio, (0, 0, MAX_SHIFT, MAX_SHIFT))
    columns = [padded[c : c + len(video)] for c in range(2 * MAX_SHIFT + 1)]
    return torch.stack([F.pairwise_distance(video, column) for column in columns], dim=1)


def check_embeddings(video: Tensor, audio: Tensor) -> None:
    """Raise ValueError unless both are finite and `(n, D)` of the same shape."""
    if video.ndim != 2 or video.shape != audio.shape or not len(video):
        shapes = f"{tuple(video.shape)} and {tuple(audio.shape)}"
        raise ValueError(f"video and audio must both be (n, D), got {shapes}")
    for name, tensor in (("video", video), ("audio", audio)):
        if not tensor.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")


def _median_filter(values: Tensor) -> Tensor:
    """Apply a median filter of `MEDIAN_FRAMES` to `(n,)`, zero-padded as in scipy's `medfilt`."""
    half = MEDIAN_FRAMES // 2
    return F.pad(values, (half, half)).unfold(0, MEDIAN_FRAMES, 1).median(-1).values


def primacy_index(video: Tensor, audio: Tensor) -> float:
    """Compute the primacy index (PRI) of a clip, in [1 / n, 1]; lower is better.

    With M_ij the L1 distance of audio i and video j, t_i is the rank of M_ii in row i, and PRI is
    the sum of t_i over n squared. The paper defines neither the order nor ties: here rank 1 is the
    smallest distance, and equal distances share the mean of their ranks, so that uninformative
    embeddings get the value of chance.

    Args:
        video: embeddings `(n, D)` of the video windows.
        audio: embeddings `(n, D)` of the audio windows.

    Source: SyncTalklip, supplement 6.1.
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
    """Return the expected PRI of `count` windows ranked at random, (n + 1) / (2 n)."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    return (count + 1) / (2 * count)
