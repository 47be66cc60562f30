"""N-way matching: each window of lips must find its own voice among N windows of the same clip.

Chung, Chung and Kang, Perfect Match: Improved Cross-Modal Embeddings for Audio-Visual
Synchronisation (ICASSP 2019). The paper compares by the inverse of the Euclidean distance; the
authors' later code (Nagrani et al., Disentangled Speech Embeddings Using Cross-Modal
Self-Supervision, ICASSP 2020) by a learned multiple of the cosine, which is the default here.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NWayMatchingLoss(nn.Module):
    """Cross-entropy over the audio windows of a clip: one is in sync, N - 1 are not.

    `E = -1 / (B T) sum_bt ln(exp s(v_bt, a_bt) / sum_j exp s(v_bt, a_bj))`, with s the similarity.
    Candidates come from the same clip, so speaker and room cannot give the answer away.

    Args:
        similarity: video `(B, T, D)` and audio `(B, N, D)` -> `(B, T, N)`; `ScaledCosine` where not
            given, `InverseDistance` for the paper's.
    """

    def __init__(self, similarity: nn.Module | None = None) -> None:
        super().__init__()
        self.similarity = ScaledCosine() if similarity is None else similarity

    def forward(self, video: Tensor, audio: Tensor, in_sync: Tensor | None = None) -> Tensor:
        """Maps video `(B, T, D)` and audio `(B, N, D)` to a scalar.

        `in_sync` `(T,)` or `(B, T)` says which of the N belongs to each t; where it is not given, N
        is T and each t belongs to its like.
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
    """A learned multiple of the cosine. (The authors' code adds a learned number to all, which a
    softmax does not see.)

    Args:
        scale: the multiple at the start.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Maps `(B, T, D)` and `(B, N, D)` to `(B, T, N)`."""
        return self.scale * (F.normalize(video, dim=-1) @ F.normalize(audio, dim=-1).mT)


class InverseDistance(nn.Module):
    """One over the Euclidean distance.

    Args:
        nearest: distances below this count as this: it bounds the similarity.
    """

    def __init__(self, nearest: float = 1e-3) -> None:
        super().__init__()
        if nearest <= 0:
            raise ValueError(f"nearest must be positive, got {nearest}")
        self.nearest = nearest

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Maps `(B, T, D)` and `(B, N, D)` to `(B, T, N)`."""
        # Differences taken one by one: the quick way by products loses small distances to rounding.
        distance = torch.cdist(video, audio, compute_mode="donot_use_mm_for_euclid_dist")
        return 1 / distance.clamp(min=self.nearest)
