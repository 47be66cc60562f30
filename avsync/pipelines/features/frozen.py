"""Frozen features: a vector of a model for each window of frames or audio, as arrays."""

import numpy as np
import torch
from torch import Tensor, nn

from avsync.scoring.audio_embeddings import AudioSource
from avsync.scoring.embeddings import SyncModel, device_and_dtype
from avsync.scoring.engine import to_frames
from avsync.tasks.features import (
    ENCODERS,
    Stream,
    audio_of_windows,
    default_layer,
    encode_audio,
    encode_frames,
    find_module,
)
from avsync.tasks.features import window_centres_s as window_centres_s


class FrozenFeatures:
    """Maps windows of one stream to vectors, with a model in eval mode that is not changed.

    Window k starts at frame k: its vector belongs to the middle of its frames. To train on vectors
    of clips in memory, or through the model, use `avsync.tasks.SyncFeatures`.

    Args:
        model: a sync task in eval mode.
        stream: `video`, crops of a face, or `audio`, the audio that belongs to them.
        layer: dotted name of one of the model's modules, whose output is taken: the mean over
            space or mel bands and, if a window has several tokens, the middle one. By default the
            embeddings that the model compares.

    Raises:
        ValueError: the model is in training mode, or has no such layer or stream.
    """

    def __init__(self, model: SyncModel, stream: Stream = "video", layer: str = "") -> None:
        if stream not in ENCODERS:
            raise ValueError(f"stream must be video or audio, got {stream!r}")
        if isinstance(model, nn.Module) and model.training:
            raise ValueError("model must be in eval mode: call model.eval() first")
        self.model, self.spec, self.stream = model, model.spec, stream
        self.layer = layer or default_layer(model, stream)
        if self.layer:
            find_module(model, self.layer)

    @torch.inference_mode()
    def encode_crops(self, crops: np.ndarray, first: int = 0, end: int | None = None) -> np.ndarray:
        """Map crops `(T, H, W, 3)` uint8 to vectors `(T - window_frames + 1, D)` float32.

        Args:
            crops: consecutive crops of a face.
            first: first window that is returned; the crops before are its context.
            end: end of the windows that are returned, by default the last.
        """
        length = self.spec.window_frames
        if self.stream != "video" or crops.ndim != 4 or len(crops) < length:
            raise ValueError(
                f"crops must be (T >= {length}, H, W, 3) for the video stream, got {crops.shape} "
                f"for {self.stream}"
            )
        device, dtype = device_and_dtype(self.model)
        # A writable copy: torch does not take arrays that are mapped read-only.
        frames = to_frames(np.array(crops)).to(device, dtype)
        return _to_numpy(encode_frames(self.model, frames, self.layer, first, end))

    @torch.inference_mode()
    def encode_audio(self, audio: AudioSource, first: int, count: int) -> np.ndarray:
        """Map the audio of windows to vectors `(count, D)` float32.

        Args:
            audio: mono audio at 16 kHz; it is silent where there is none.
            first: frame at which the first window starts.
            count: windows, one starting at every frame.
        """
        if self.stream != "audio" or count < 1:
            raise ValueError(f"count must be 1 or more of the audio stream, got {count}")
        need = audio_of_windows(self.spec, first, count)
        wav = torch.from_numpy(audio.window(need.begin_s, need.end_s))[None]
        wav = wav.to(device_and_dtype(self.model).device)
        return _to_numpy(encode_audio(self.model, wav, need.starts_s, self.layer))


def _to_numpy(vectors: Tensor) -> np.ndarray:
    """Return the vectors `(1, W, D)` of one clip as an array `(W, D)`."""
    return vectors[0].float().cpu().numpy()
