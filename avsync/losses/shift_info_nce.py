"""InfoNCE over the shifts of one clip: each window must find its position in the other stream."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ShiftInfoNceLoss(nn.Module):
    """Symmetric InfoNCE between the video windows and all audio steps of a clip.

    Candidates come from the same clip, so speaker and words do not reveal the answer (Perfect
    Match, Chung et al., ICASSP 2019, does so with N candidates). Audio steps are finer than frames;
    from video to audio the target is a Gaussian over the steps around the true one, which trains
    the shape of the score between frames.

    Args:
        steps_per_window: audio steps from one video window to the next.
        spread_steps: standard deviation of the Gaussian target, in audio steps.
        temperature: divides the cosine similarities from audio to video. With None the video's norm
            weights them, as it does from video to audio.
        ignored_steps: audio steps before and after the true one that are no candidates, neither
            right nor wrong; with it the true step alone is the target.
    """

    def __init__(
        self,
        steps_per_window: int = 4,
        spread_steps: float = 1.0,
        temperature: float | None = 0.07,
        ignored_steps: int = 0,
    ) -> None:
        super().__init__()
        divisor = 1.0 if temperature is None else temperature
        if steps_per_window < 1 or spread_steps <= 0 or divisor <= 0:
            raise ValueError(
                "steps_per_window, spread_steps and temperature must be positive, "
                f"got {steps_per_window}, {spread_steps} and {temperature}"
            )
        if ignored_steps < 0:
            raise ValueError(f"ignored_steps must be 0 or more, got {ignored_steps}")
        self.steps_per_window, self.spread_steps = steps_per_window, spread_steps
        self.temperature, self.ignored_steps = temperature, ignored_steps

    def forward(self, video: Tensor, audio: Tensor, first_step: int) -> Tensor:
        """Compute the sum of both directions' cross-entropies.

        Args:
            video: video embeddings `(B, T, D)`; their norm weights the logits (in nats) from video
                to audio, and is normalised away from audio to video.
            audio: unit audio embeddings `(B, S, D)`.
            first_step: the audio step in sync with window 0; window t is in sync with step
                `first_step + t * steps_per_window`.

        Returns:
            A scalar.
        """
        windows, steps = video.shape[1], audio.shape[1]
        own = first_step + self.steps_per_window * torch.arange(windows, device=video.device)
        if video.shape[::2] != audio.shape[::2] or first_step < 0 or own[-1] >= steps:
            raise ValueError(
                f"audio must be (B, S, D) with S > {int(own[-1])} for video {tuple(video.shape)} "
                f"from step {first_step}, got {tuple(audio.shape)}"
            )
        distance = torch.arange(steps, device=video.device) - own[:, None]
        logits = video @ audio.mT
        if self.ignored_steps:
            near = (distance != 0) & (distance.abs() <= self.ignored_steps)
            logits = logits.masked_fill(near, torch.finfo(logits.dtype).min)
            to_audio = F.cross_entropy(logits.mT, own.expand(len(video), -1))
        else:
            target = torch.softmax(-0.5 * (distance / self.spread_steps) ** 2, dim=-1)
            to_audio = -(target * torch.log_softmax(logits, dim=-1)).sum(-1).mean()

        if self.temperature is None:
            matches = logits[..., own]
        else:
            matches = F.normalize(video, dim=-1) @ audio[:, own].mT / self.temperature
        # Classes are windows, for each window's audio.
        diagonal = torch.arange(windows, device=video.device).expand(len(video), -1)
        return to_audio + F.cross_entropy(matches, diagonal)
