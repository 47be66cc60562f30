"""A frozen sync task as a source of features: one vector for each window of frame or audio."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from einops import reduce
from torch import Tensor, nn

from avsync.scoring.embeddings import place_of
from avsync.scoring.engine import Sound, SyncModel, to_frames
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS

Stream = Literal["video", "audio"]
# Windows that go through a model one by one, for the output of a layer: SyncNet's first layer holds
# 5 MB for each.
TOGETHER = 16
# What is taken where the entries a model compares are more than a vector: its encoders' tokens.
ENCODERS = {"video": "visual", "audio": "audio"}


class FrozenFeatures:
    """Maps windows of one stream to vectors, by a model that is in eval mode and stays as it is.

    Window k stands for frame k of `spec.window_frames`: its vector belongs to the middle of them.

    Args:
        model: a sync task in eval mode.
        stream: `video`, crops of a face, or `audio`, the audio that goes with them.
        layer: dotted name of one of the model's modules, whose output is taken: the mean over the
            axes of space or of mel bands, and of several tokens of a window the middle one. Without
            it, the vectors that the model compares.
    """

    def __init__(self, model: SyncModel, stream: Stream = "video", layer: str = "") -> None:
        if stream not in ENCODERS:
            raise ValueError(f"stream must be video or audio, got {stream!r}")
        if isinstance(model, nn.Module) and model.training:
            raise ValueError("model must be in eval mode: call model.eval() first")
        self.model, self.spec, self.stream = model, model.spec, stream
        self.layer = layer or self._default()
        self._module = None if not self.layer else _find(model, self.layer)

    @torch.inference_mode()
    def of_crops(self, crops: np.ndarray) -> np.ndarray:
        """Map crops `(T, H, W, 3)` uint8 to vectors `(T - window_frames + 1, D)` float32."""
        length = self.spec.window_frames
        if self.stream != "video" or crops.ndim != 4 or len(crops) < length:
            raise ValueError(
                f"crops must be (T >= {length}, H, W, 3) for the video stream, got {crops.shape} "
                f"for {self.stream}"
            )
        place = place_of(self.model)
        # A copy: torch takes nothing that is mapped from disk to be read only.
        frames = to_frames(np.array(crops)).to(place.device, place.dtype)
        if self._module is None:
            return _rows(self.model.encode_video(frames)[0])
        # Window by window, so that a layer gives the same wherever the others are.
        windows = frames[0].unfold(1, length, 1).movedim(1, 0).movedim(-1, 2)
        blocks = windows.split(TOGETHER)
        return np.concatenate([self._layer(self.model.encode_video, each) for each in blocks])

    @torch.inference_mode()
    def of_sound(self, audio: Sound, first: int, count: int) -> np.ndarray:
        """Vectors `(count, D)` float32 of the audio that goes with the windows from frame `first`
        on; there is silence where `sound` has none.
        """
        if self.stream != "audio" or count < 1:
            raise ValueError(f"count must be 1 or more of the audio stream, got {count}")
        spec, place = self.spec, place_of(self.model)
        begin_s = first / FPS + spec.audio_from_s
        # One sample more: rounding of seconds to samples must not cost the last window.
        length_s = (count - 1) / FPS + spec.audio_until_s - spec.audio_from_s
        end_s = begin_s + length_s + 1 / spec.sample_rate
        wav = torch.from_numpy(audio.window(begin_s, end_s))[None].to(place.device)
        starts_s = torch.arange(count) / FPS - spec.audio_from_s
        if self._module is None:
            return _rows(self.model.encode_audio(wav, starts_s)[0])
        blocks = spec.cut_audio(wav, starts_s)[0].split(TOGETHER)

        def encode(windows: Tensor) -> object:
            return self.model.encode_audio(windows, starts_s[:1])

        return np.concatenate([self._layer(encode, block) for block in blocks])

    def _default(self) -> str:
        embedding = _entry_of_nothing(self.model, self.spec, self.stream)
        vector = isinstance(embedding, Tensor) and embedding.ndim == 3  # (1, 1, D)
        return "" if vector else ENCODERS[self.stream]

    def _layer(self, encode: Any, windows: Tensor) -> np.ndarray:
        assert self._module is not None
        with _outputs_of(self._module) as outputs:
            encode(windows)
        if not outputs:
            raise ValueError(f"layer {self.layer} takes no part in the {self.stream} stream")
        tokens = torch.cat([_tokens(each, self.stream) for each in outputs])
        if len(tokens) % len(windows):
            raise ValueError(
                f"layer {self.layer} gives {len(tokens)} rows for {len(windows)} windows: "
                "choose one that works on each window"
            )
        # What a layer gives for one window lies together: frames or columns in their order.
        tokens = tokens.reshape(len(windows), -1, tokens.shape[-1])
        return _rows(tokens[:, tokens.shape[1] // 2])


def middle_s(window_frames: int, first: int, count: int) -> np.ndarray:
    """Times `(count,)` of the middles of the windows that start at frames `first` on, in seconds
    from the first frame.
    """
    return (first + np.arange(count) + window_frames / 2) / FPS


@contextmanager
def _outputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        # A copy: the next module may work in place.
        outputs.append(output.detach().clone())

    handle = module.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def _tokens(output: Tensor, stream: Stream) -> Tensor:
    """Return what a module gave as tokens in order `(n, D)`, those of a window together."""
    if output.ndim == 5:
        output = reduce(output, "b c t h w -> b t c", "mean")
    elif output.ndim == 4 and stream == "video":
        output = reduce(output, "b c h w -> b c", "mean")
    elif output.ndim == 4:
        output = reduce(output, "b c m s -> b s c", "mean")
    elif output.ndim == 3 and output.shape[-1] == 1:
        output = output[..., 0]  # (b c 1), from a convolution over time
    return output.reshape(-1, output.shape[-1])


def _find(model: object, layer: str) -> nn.Module:
    modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
    modules.pop("", None)
    if layer not in modules:
        names = ", ".join(name for name in modules if name.count(".") < 2)
        raise ValueError(f"layer must name a module of the model, got {layer!r}; it has {names}")
    return modules[layer]


@torch.inference_mode()
def _entry_of_nothing(model: SyncModel, spec: ClipSpec, stream: Stream) -> object:
    """Return what the model makes of a grey frame or of silence: a tensor or more than one."""
    place = place_of(model)
    if stream == "video":
        grey = torch.full((1, 3, spec.window_frames, spec.height, spec.width), 0.5)
        return model.encode_video(grey.to(place.device, place.dtype))
    samples = round((spec.audio_until_s - spec.audio_from_s) * spec.sample_rate)
    silence = torch.zeros(1, samples, device=place.device)
    return model.encode_audio(silence, torch.tensor([-spec.audio_from_s]))


def _rows(vectors: Tensor) -> np.ndarray:
    return vectors.float().cpu().numpy()
