"""Variants of face_sync for ablations: other speech tokens, and one visual stream only."""

import copy

import torch
from torch import Tensor, nn

from avsync.encoders.face_sync import SpeechTokenEncoder
from avsync.tasks.registry import create_model
from avsync.tasks.sync.face_sync import FaceSync, FaceSyncConfig, FrozenNetwork
from benchmarks.sync.speech_tokens import SpeechTokens


class BlankEncoder(nn.Module):
    """Stands for a visual encoder: tokens of zeros.

    Args:
        dim: width of the tokens.
        frames: frames that one token is computed from.
    """

    def __init__(self, dim: int, frames: int) -> None:
        super().__init__()
        self.dim, self.frames = dim, frames

    def forward(self, x: Tensor) -> Tensor:
        """Map any stream `(B, T, ...)` to zeros `(B, T - frames + 1, dim)`."""
        return x.new_zeros(len(x), x.shape[1] - self.frames + 1, self.dim)


def new_model(tokens: SpeechTokens) -> FaceSync:
    """Return a face_sync with fresh weights and these speech tokens; clips keep their offset."""
    model, config = create_model("face_sync", config={"zero_ms": 0.0}), FaceSyncConfig()
    assert isinstance(model, FaceSync)
    model.whisper = FrozenNetwork(lambda: tokens)
    width = tokens(torch.zeros(1, 2 * tokens.margin_samples)).shape[-1]
    model.speech = SpeechTokenEncoder(config.dim, width, hidden=config.hidden)
    return model


def without(model: FaceSync, stream: str) -> FaceSync:
    """Return a copy of a model whose `landmarks` or `pixels` are encoded as zeros."""
    changed = copy.deepcopy(model)
    blank = BlankEncoder(FaceSyncConfig().hidden, model.spec.window_frames)
    setattr(changed, stream, blank.train(model.training))
    return changed
