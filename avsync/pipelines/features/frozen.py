"""Compute features with a frozen sync model: one vector for each window of frames or audio."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from einops import reduce
from torch import Tensor, nn

from avsync.scoring.audio_embeddings import AudioSource
from avsync.scoring.embeddings import SyncModel, device_and_dtype
from avsync.scoring.engine import to_frames
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS

Stream = Literal["video", "audio"]
# Windows that go through a model separately are encoded in batches of this size when the output of
# a layer is taken: SyncNet's first layer takes 5 MB for each.
WINDOW_BATCH = 16
# Layer used by default for models whose embeddings are not one vector: tokens of the encoder.
ENCODERS = {"video": "visual", "audio": "audio"}


class FrozenFeatures:
    """Maps windows of one stream to vectors, with a model in eval mode that is not changed.

    Window k stands for frame k of `spec.window_frames`: its vector belongs to the middle of them.

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
        self.layer = layer or self._default_layer()
        self._module = None if not self.layer else _find_module(model, self.layer)

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
        if self._module is None:
            return _to_numpy(self.model.encode_video(frames)[0, first:end])
        # Each window separately, so that a layer's output does not depend on the other windows.
        windows = frames[0].unfold(1, length, 1).movedim(1, 0).movedim(-1, 2)[first:end]
        batches = windows.split(WINDOW_BATCH)
        return np.concatenate([self._layer(self.model.encode_video, batch) for batch in batches])

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
        spec, device = self.spec, device_and_dtype(self.model).device
        before_s = spec.audio_context_s - spec.audio_from_s
        # One sample more: rounding of seconds to samples must not cost the last window.
        length_s = (count - 1) / FPS + spec.audio_until_s + spec.audio_context_s
        begin_s, end_s = first / FPS - before_s, first / FPS + length_s + 1 / spec.sample_rate
        wav = torch.from_numpy(audio.window(begin_s, end_s))[None].to(device)
        starts_s = torch.arange(count) / FPS + before_s
        if self._module is None:
            return _to_numpy(self.model.encode_audio(wav, starts_s)[0])
        batches = spec.cut_audio(wav, starts_s)[0].split(WINDOW_BATCH)

        def encode(windows: Tensor) -> object:
            return self.model.encode_audio(windows, starts_s[:1])

        return np.concatenate([self._layer(encode, batch) for batch in batches])

    def _default_layer(self) -> str:
        embedding = _embed_nothing(self.model, self.spec, self.stream)
        is_vector = isinstance(embedding, Tensor) and embedding.ndim == 3  # (1, 1, D)
        return "" if is_vector else ENCODERS[self.stream]

    def _layer(self, encode: Any, windows: Tensor) -> np.ndarray:
        assert self._module is not None
        with _captured_outputs(self._module) as outputs:
            encode(windows)
        if not outputs:
            raise ValueError(f"layer {self.layer} takes no part in the {self.stream} stream")
        tokens = torch.cat([_to_tokens(output, self.stream) for output in outputs])
        if len(tokens) % len(windows):
            raise ValueError(
                f"layer {self.layer} gives {len(tokens)} rows for {len(windows)} windows: "
                "choose one that works on each window"
            )
        # The tokens of a window are consecutive: frames or columns in their order.
        tokens = tokens.reshape(len(windows), -1, tokens.shape[-1])
        return _to_numpy(tokens[:, tokens.shape[1] // 2])


def window_centres_s(window_frames: int, first: int, count: int) -> np.ndarray:
    """Return the times `(count,)` of the middles of windows, in seconds from the first frame.

    The windows start at frames `first` to `first + count - 1`.
    """
    return (first + np.arange(count) + window_frames / 2) / FPS


@contextmanager
def _captured_outputs(module: nn.Module) -> Iterator[list[Tensor]]:
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        # A copy: the next module may modify its input.
        outputs.append(output.detach().clone())

    handle = module.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def _to_tokens(output: Tensor, stream: Stream) -> Tensor:
    """Return the output of a module as tokens in order `(n, D)`, those of a window together."""
    if output.ndim == 5:
        output = reduce(output, "b c t h w -> b t c", "mean")
    elif output.ndim == 4 and stream == "video":
        output = reduce(output, "b c h w -> b c", "mean")
    elif output.ndim == 4:
        output = reduce(output, "b c m s -> b s c", "mean")
    elif output.ndim == 3 and output.shape[-1] == 1:
        output = output[..., 0]  # (b c 1), from a convolution over time
    return output.reshape(-1, output.shape[-1])


def _find_module(model: object, layer: str) -> nn.Module:
    modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
    modules.pop("", None)
    if layer not in modules:
        names = ", ".join(name for name in modules if name.count(".") < 2)
        raise ValueError(f"layer must name a module of the model, got {layer!r}; it has {names}")
    return modules[layer]


@torch.inference_mode()
def _embed_nothing(model: SyncModel, spec: ClipSpec, stream: Stream) -> object:
    """Return the model's embedding of grey frames or of silence: one tensor or several."""
    device, dtype = device_and_dtype(model)
    if stream == "video":
        grey = torch.full((1, 3, spec.window_frames, spec.height, spec.width), 0.5)
        return model.encode_video(grey.to(device, dtype))
    samples = round((spec.audio_until_s - spec.audio_from_s) * spec.sample_rate)
    silence = torch.zeros(1, samples, device=device)
    return model.encode_audio(silence, torch.tensor([-spec.audio_from_s]))


def _to_numpy(vectors: Tensor) -> np.ndarray:
    return vectors.float().cpu().numpy()
