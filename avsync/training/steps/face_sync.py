"""Training step of face_sync: InfoNCE over the shifts of a clip, on what frozen networks see.

Sources: van den Oord, Li and Vinyals, Representation Learning with Contrastive Predictive Coding,
2018 (InfoNCE); Chung, Chung and Kang, Perfect Match, ICASSP 2019 (candidates of the same clip).
"""

import torch
from torch import Tensor, nn

from avsync.encoders.pretrained.whisper import LocalWhisperEncoder
from avsync.faces.face_frame import motion_of
from avsync.losses.shift_info_nce import ShiftInfoNceLoss
from avsync.tasks.sync.face_sync import FaceSync
from avsync.timing import SAMPLES_PER_FRAME, exact_div

# Noise of speech tokens in units of each channel's standard deviation: other voices and rooms.
TOKEN_NOISE = 0.15
# Tokens of 20 ms before and after the true one that are neither right nor wrong: a frame lasts 40
# ms, and clips of people are in sync to about that.
IGNORED_TOKENS = 2


class FaceSyncStep(nn.Module):
    """A face_sync model with its loss: a training step's forward pass.

    Args:
        model: the model.
        first_step: speech token that the first window's middle frame belongs to.
        stream_dropout: share of the clips whose landmarks are left out, and of those whose mouths
            are, so that either can do alone.
    """

    def __init__(self, model: FaceSync, first_step: int, stream_dropout: float = 0.15) -> None:
        super().__init__()
        self.model, self.stream_dropout = model, stream_dropout
        self.first_step = first_step - model.speech.receptive_tokens // 2
        steps = exact_div(SAMPLES_PER_FRAME, LocalWhisperEncoder.hop_samples)
        self.criterion = ShiftInfoNceLoss(steps, temperature=None, ignored_steps=IGNORED_TOKENS)

    def forward(self, landmarks: Tensor, mouths: Tensor, wav: Tensor) -> Tensor:
        """Map landmarks `(B, T, 62, 3)`, mouths `(B, T, 48, 48)` and audio `(B, N)` to the loss."""
        model = self.model
        video = self.encode_mouths(motion_of(landmarks, model.mean_frames), mouths)
        with torch.no_grad():
            tokens = model.whisper.on(wav.device)(wav)
            if self.training:
                spread = tokens.std((0, 1))
                tokens = tokens + TOKEN_NOISE * spread * torch.randn_like(tokens)
        audio = model.encode_speech(tokens)
        loss: Tensor = self.criterion(video, audio, self.first_step)
        return loss

    def encode_mouths(self, motion: Tensor, mouths: Tensor) -> Tensor:
        """Map motion and mouths to embeddings, each left out of some clips in training."""
        model = self.model
        landmarks, pixels = model.landmarks(motion), model.pixels(mouths)
        if self.training and self.stream_dropout:
            drawn = torch.rand(len(motion), 1, 1, device=motion.device)
            landmarks = landmarks * (drawn > self.stream_dropout)
            pixels = pixels * (drawn < 1 - self.stream_dropout)
        return model.weigh(landmarks, pixels)
