"""Contrastive losses between the frames of two streams, of TalkLip, SyncTalklip and av_syncnet.

All of them take unit-length embeddings; normalising them is the model's job.

Source: Wang and others, Seeing What You Said: Talking Face Generation Guided by a Lip Reading
Expert (TalkLip, CVPR 2023). SyncTalklip is built on its code and replaces the loss by a difference
of distances.
"""

import torch
from torch import Tensor, nn

from avsync.losses.info_nce import InfoNceLoss

TEMPERATURE = 0.07
MOST_NEGATIVES = 100


class AudioNegativesLoss(nn.Module):
    """TalkLip's InfoNCE: audio of a frame against its own video and the audio of other frames.

    The negatives are from the anchor's own stream. They are drawn for each frame from all other
    frames of the batch without replacement, half as many as there are frames, at most 100.

    Args:
        temperature: divides the cosine similarities.
    """

    def __init__(self, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.criterion = InfoNceLoss(temperature)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Map unit audio and video `(B, T, D)` to a scalar; ln(1 + K) if all frames are equal."""
        audio, video = _flatten_frames(audio, video)
        own = (audio * video).sum(-1, keepdim=True)
        others = (audio @ audio.mT).gather(1, draw_negatives(len(audio), audio.device))
        first = torch.zeros(len(audio), dtype=torch.long, device=audio.device)
        loss: Tensor = self.criterion(torch.cat([own, others], dim=1), first)
        return loss


class DistanceDifferenceLoss(nn.Module):
    """SyncTalklip's loss: L1 distance of video to its own audio, less that to other frames' audio.

    It has no margin and no softmax: it may be negative, and is 0 if all frames are equal.
    """

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Map unit audio and video `(B, T, D)` to a scalar."""
        audio, video = _flatten_frames(audio, video)
        distances = torch.cdist(video, audio, p=1)
        others = distances.gather(1, draw_negatives(len(audio), audio.device))
        return distances.diagonal().mean() - others.mean()


class ClipContrastLoss(nn.Module):
    """Symmetric InfoNCE between the audio and video frames of one clip; not from a publication.

    Candidates come from the same clip, so speaker and room do not reveal the answer, and from the
    other stream, so that a frame must be distinguished from its neighbours.

    Args:
        temperature: divides the cosine similarities.
    """

    def __init__(self, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.criterion = InfoNceLoss(temperature)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Map unit audio and video `(B, T, D)` to a scalar; ln T if all frames are equal."""
        _check_frames(audio, video)
        cosines = audio @ video.mT
        own = torch.arange(cosines.shape[1], device=cosines.device).repeat(len(cosines))
        audio_to_video = self.criterion(cosines.flatten(0, 1), own)
        video_to_audio = self.criterion(cosines.mT.flatten(0, 1), own)
        mean: Tensor = (audio_to_video + video_to_audio) / 2
        return mean


def draw_negatives(frames: int, device: torch.device | None = None) -> Tensor:
    """Draw K other frames for each frame, without replacement.

    Args:
        frames: number of frames N.
        device: device of the result.

    Returns:
        Indices `(N, K)`; K is half of N, at most 100.
    """
    count = min(MOST_NEGATIVES, frames // 2)
    order = torch.rand(frames, frames, device=device).fill_diagonal_(-1)
    return order.topk(count, dim=1).indices


def _flatten_frames(audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
    """Flatten both streams to `(B T, D)`."""
    _check_frames(audio, video)
    return audio.flatten(0, 1), video.flatten(0, 1)


def _check_frames(audio: Tensor, video: Tensor) -> None:
    if audio.ndim != 3 or audio.shape != video.shape or audio[..., 0].numel() < 2:
        raise ValueError(
            "audio and video must be (B, T, D) of 2 frames or more, "
            f"got {tuple(audio.shape)} and {tuple(video.shape)}"
        )
