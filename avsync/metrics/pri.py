"""PRI, the parallel ranking index of SyncTalklip: how early the voice of a window ranks its own
lips among all windows of the clip.
"""

import torch
from torch import Tensor

from avsync.metrics.lse import check_embeddings

# Rows of the n x n distances that are held at once.
ROWS = 256


def ranking_index(video: Tensor, audio: Tensor) -> float:
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


def chance_index(count: int) -> float:
    """PRI of `count` windows that are ranked by chance, (n + 1) / (2 n)."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    return (count + 1) / (2 * count)
