"""N-way matching (Perfect Match): each video window must match one of N audio windows of its clip.

The paper compares by the inverse of the Euclidean distance. The authors' later code (Nagrani et
al., Disentangled Speech Embeddings Using Cross-Modal Self-Supervision, ICASSP 2020) uses a learned
multiple of the cosine similarity, which is the default here.

Source: Chung, Chung and Kang, Perfect Match: Improved Cross-Modal Embeddings for Audio-Visual
Synchronisation (ICASSP 2019).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NWayMatchingLoss(nn.Module):
    """Cross-entropy over the N audio windows of a clip, of which one is in sync.

    `E = -1 / (B T) sum_bt ln(exp s(v_bt, a_bt) / sum_j exp s(v_bt, a_bj))`, with s the similarity.
    Candidates come from the same clip, so speaker and room do not reveal the answer.

    Args:
        similarity: maps video `(B, T, D)` and audio `(B, N, D)` to `(B, T, N)`; `ScaledCosine` if
            None, `InverseDistance` in the paper.
    """

    def __init__(self, similarity: nn.Module | None = None) -> None:
        super().__init__()
        self.similarity = ScaledCosine() if similarity is None else similarity

    def forward(self, video: Tensor, audio: Tensor, in_sync: Tensor | None = None) -> Tensor:
        """Compute the cross-entropy of the audio windows in sync.

        Args:
            video: video embeddings `(B, T, D)`.
            audio: audio embeddings `(B, N, D)`.
            in_sync: index of the audio window in sync with each video window, `(T,)` or `(B, T)`;
                if None, N is T and equal indices are in sync.

        Returns:
            A scalar.
        """
        if video.ndim != 3 or audio.ndim != 3 or video.shape[::2] != audio.shape[::2]:
            shapes = f"{tuple(video.shape)} and {tuple(audio.shape)}"
            raise ValueError(f"video and audio must be (B, T, D) and (B, N, D), got {shapes}")
        if in_sync is None:
            if video.shape != audio.shape:
                raise ValueError(
                    f"without in_sync, audio must be of the shape of video {tuple(video.shape)}, "
                    f"got {tuple(audio.shape)}"
                )
            in_sync = torch.arange(video.shape[1], device=video.device)
        own = in_sync.expand(video.shape[:2])
        return F.cross_entropy(self.similarity(video, audio).mT, own)


class ScaledCosine(nn.Module):
    """Cosine similarity times a learned scale.

    The authors' code also adds a learned bias, which does not change a softmax.

    Args:
        scale: initial scale.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map `(B, T, D)` and `(B, N, D)` to `(B, T, N)`."""
        return self.scale * (F.normalize(video, dim=-1) @ F.normalize(audio, dim=-1).mT)


class InverseDistance(nn.Module):
    """Inverse of the Euclidean distance.

    Args:
        nearest: smaller distances are clamped to this, which bounds the similarity.
    """

    def __init__(self, nearest: float = 1e-3) -> None:
        super().__init__()
        if nearest <= 0:
            raise ValueError(f"nearest must be positive, got {nearest}")
        self.nearest = nearest

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map `(B, T, D)` and `(B, N, D)` to `(B, T, N)`."""
        # Not by matrix products, which lose small distances to rounding.
        distance = torch.cdist(video, audio, compute_mode="donot_use_mm_for_euclid_dist")
        return 1 / distance.clamp(min=self.nearest)
