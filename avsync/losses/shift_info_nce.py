"""Matching over the shifts of one clip: each window must find its own place in the other stream."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ShiftInfoNceLoss(nn.Module):
    """Cross-entropy of video windows over all audio steps of their clip, and of the audio over the
    video windows.

    Candidates come from the same clip, so speaker and words cannot give the answer away (Perfect
    Match, Chung et al., ICASSP 2019, does so with N candidates). Audio steps lie finer than frames;
    the target is a Gaussian over the steps around the true one, which teaches the score's shape
    between frames.

    Args:
        steps_per_window: audio steps from one video window to the next.
        spread_steps: standard deviation of the target, in audio steps.
        temperature: divides the cosines when audio looks for video.
    """

    def __init__(
        self, steps_per_window: int = 4, spread_steps: float = 1.0, temperature: float = 0.07
    ) -> None:
        super().__init__()
        if steps_per_window < 1 or spread_steps <= 0 or temperature <= 0:
            raise ValueError(
                "steps_per_window, spread_steps and temperature must be positive, "
                f"got {steps_per_window}, {spread_steps} and {temperature}"
            )
        self.steps_per_window, self.spread_steps = steps_per_window, spread_steps
        self.temperature = temperature

    def forward(self, video: Tensor, audio: Tensor, first_step: int) -> Tensor:
        """Maps video `(B, T, D)` and unit audio `(B, S, D)` to a scalar; window t belongs to step
        `first_step + t * steps_per_window`.

        The length of a video entry is its weight in nats; the way back uses its direction only.
        """
        windows, steps = video.shape[1], audio.shape[1]
        own = first_step + self.steps_per_window * torch.arange(windows, device=video.device)
        if video.shape[::2] != audio.shape[::2] or first_step < 0 or own[-1] >= steps:
            raise ValueError(
                f"audio must be (B, S, D) with S > {int(own[-1])} for video {tuple(video.shape)} "
                f"from step {first_step}, got {tuple(audio.shape)}"
            )
        distance = torch.arange(steps, device=video.device) - own[:, None]
        target = torch.softmax(-0.5 * (distance / self.spread_steps) ** 2, dim=-1)
        log_found = torch.log_softmax(video @ audio.mT, dim=-1)
        to_audio = -(target * log_found).sum(-1).mean()

        cosine = F.normalize(video, dim=-1) @ audio[:, own].mT / self.temperature
        diagonal = torch.arange(windows, device=video.device).expand(len(video), -1)
        to_video = F.cross_entropy(cosine, diagonal)
        return to_audio + to_video
