"""Contrast over frames: a frame's voice must lie near its own lips and far from what else is said.

TalkLip: Wang and others, Seeing What You Said: Talking Face Generation Guided by a Lip Reading
Expert (CVPR 2023). SyncTalklip is built on its code and replaces the loss by a difference of
distances. Both take embeddings of length 1; what brings them there belongs to the model.
"""

import torch
from torch import Tensor, nn

from avsync.losses.info_nce import InfoNceLoss

TEMPERATURE = 0.07
MOST_NEGATIVES = 100


class AudioNegativesLoss(nn.Module):
    """TalkLip's: InfoNCE of each frame's voice over its own lips and the voices of other frames.

    The negatives are of the anchor's own stream. They are drawn for each frame among all others of
    the batch without replacement, half as many as there are frames, at most 100.

    Args:
        temperature: divides the cosines.
    """

    def __init__(self, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.criterion = InfoNceLoss(temperature)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Maps unit audio and video `(B, T, D)` to a scalar; ln(1 + K) where all frames agree."""
        audio, video = _frames(audio, video)
        own = (audio * video).sum(-1, keepdim=True)
        others = (audio @ audio.mT).gather(1, draw_negatives(len(audio), audio.device))
        first = torch.zeros(len(audio), dtype=torch.long, device=audio.device)
        loss: Tensor = self.criterion(torch.cat([own, others], dim=1), first)
        return loss


class DistanceDifferenceLoss(nn.Module):
    """SyncTalklip's: the L1 distance of lips to their own voice, less that to the voices of others.

    No margin and no softmax: it may be negative, and is 0 where all frames agree.
    """

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Maps unit audio and video `(B, T, D)` to a scalar."""
        audio, video = _frames(audio, video)
        distances = torch.cdist(video, audio, p=1)
        others = distances.gather(1, draw_negatives(len(audio), audio.device))
        return distances.diagonal().mean() - others.mean()


class ClipContrastLoss(nn.Module):
    """InfoNCE of voice over the lips of its clip, and of lips over the voices: no publication's.

    Candidates come from the same clip, so speaker and room cannot give the answer away, and from
    the other stream, so that a frame must be told from those beside it.

    Args:
        temperature: divides the cosines.
    """

    def __init__(self, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.criterion = InfoNceLoss(temperature)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Maps unit audio and video `(B, T, D)` to a scalar; ln T where all frames agree."""
        _frames(audio, video)
        cosines = audio @ video.mT
        own = torch.arange(cosines.shape[1], device=cosines.device).repeat(len(cosines))
        there = self.criterion(cosines.flatten(0, 1), own)
        back = self.criterion(cosines.mT.flatten(0, 1), own)
        mean: Tensor = (there + back) / 2
        return mean


def draw_negatives(frames: int, device: torch.device | None = None) -> Tensor:
    """Places `(frames, K)` of other frames for each frame, no place twice in a row; K is half of
    them, at most 100.
    """
    count = min(MOST_NEGATIVES, frames // 2)
    order = torch.rand(frames, frames, device=device).fill_diagonal_(-1)
    return order.topk(count, dim=1).indices


def _frames(audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
    """Both streams' frames `(B T, D)`."""
    if audio.ndim != 3 or audio.shape != video.shape or audio[..., 0].numel() < 2:
        raise ValueError(
            "audio and video must be (B, T, D) of 2 frames or more, "
            f"got {tuple(audio.shape)} and {tuple(video.shape)}"
        )
    return audio.flatten(0, 1), video.flatten(0, 1)
