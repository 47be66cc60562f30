"""What a VocaLiST thinks on its way to a score: what its students are taught by."""

from typing import NamedTuple

from torch import Tensor, nn

from avsync.fusion.cross_modal import LayerAttention, capture_attention
from avsync.tasks.sync.vocalist import Vocalist


class Inside(NamedTuple):
    """Logits `(B,)`; the encoders' tokens `(B, T, D)` and `(B, S, D)`; tokens `(B, D)` after the
    last transformer, their maximum over time; and the attention of every layer of the three
    transformers.
    """

    scores: Tensor
    video: Tensor
    audio: Tensor
    pooled: Tensor
    fusion: list[LayerAttention]
    audio_to_video: list[LayerAttention]
    video_to_audio: list[LayerAttention]


def capture_activations(model: Vocalist, frames: Tensor, mel: Tensor) -> Inside:
    """Return the model's own forward pass of frames `(B, 3, T, 48, 96)` and mel `(B, 80, S)`, with what
    passed inside.
    """
    pooled: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Tensor]) -> None:
        pooled.append(arguments[0])

    hook = model.fc.register_forward_pre_hook(keep)
    try:
        with (
            capture_attention(model.fusion) as fusion,
            capture_attention(model.audio_to_video) as audio_to_video,
            capture_attention(model.video_to_audio) as video_to_audio,
        ):
            video, audio = model.tokens(frames, mel)
            scores = model.join(video, audio)
    finally:
        hook.remove()
    return Inside(scores, video, audio, pooled[0], fusion, audio_to_video, video_to_audio)
