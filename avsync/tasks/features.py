"""Features of a sync model: a vector for each window of frames, and for the audio of each window.

Window k starts at frame k, and its vector belongs to the middle of its frames. The vector is the
embedding that the model compares, or the output of one of its layers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS, SAMPLES_PER_FRAME

Stream = Literal["video", "audio"]
# Windows that go through a model separately are encoded in batches of this size when the output of
# a layer is taken: SyncNet's first layer takes 5 MB for each.
WINDOW_BATCH = 16
# Layer used by default for models whose embeddings are not one vector: tokens of the encoder.
ENCODERS: dict[Stream, str] = {"video": "visual", "audio": "audio"}
# Audio may be longer or shorter than the video by this much: encoders of audio fill blocks.
SPARE_SAMPLES = 2 * SAMPLES_PER_FRAME


class AlignedFeatures(NamedTuple):
    """Features of both streams of clips, one vector for each window of frames.

    Args:
        video: `(B, W, D)`, where W = T - window_frames + 1 for clips of T frames.
        audio: `(B, W, D)`, of the audio of the same windows.
        times_s: middles of the windows `(W,)`, in seconds from the first frame.
    """

    video: Tensor
    audio: Tensor
    times_s: Tensor


class SyncFeatures(nn.Module):
    """Map clips to the features of a sync model, for training on them or through them.

    Args:
        model: a sync task. Its mode, eval or train, is kept.

    Attributes:
        num_features: width D of the vectors, the same for both streams.
        spec: the model's input spec.

    Raises:
        ValueError: the vectors of the two streams differ in width.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.training = model, model.training
        self.spec: ClipSpec = model.spec  # type: ignore[assignment]
        self.layers = {stream: default_layer(model, stream) for stream in ENCODERS}
        video, audio = (embed_nothing(model, *item).shape[-1] for item in self.layers.items())
        if video != audio:
            raise ValueError(
                f"the vectors of both streams must be equally wide, got {video} of video and "
                f"{audio} of audio: take one stream with avsync.pipelines.features.FrozenFeatures"
            )
        self.num_features: int = video

    def forward(self, frames: Tensor, wav: Tensor) -> AlignedFeatures:
        """Map frames `(B, 3, T, H, W)` and wav `(B, N)` to features, W of each stream.

        Args:
            frames: RGB in [0, 1] at 25 fps, the crop that `spec` declares.
            wav: at 16 kHz, from the first frame on; N is 640 T, or up to 1280 more or less. What
                windows need before the first sample and after the last is silence.

        Raises:
            ValueError: there are fewer frames than in a window, or the audio does not last as long.
        """
        _check_clip(frames, wav)
        video = encode_frames(self.model, frames, self.layers["video"])
        count = video.shape[1]
        need = audio_of_windows(self.spec, 0, count)
        begin, end = (round(s * self.spec.sample_rate) for s in (need.begin_s, need.end_s))
        read = wav[:, max(begin, 0) : end]
        padded = F.pad(read, (max(-begin, 0), max(end - wav.shape[1], 0)))
        audio = encode_audio(self.model, padded, need.starts_s, self.layers["audio"])
        times_s = torch.from_numpy(window_centres_s(self.spec.window_frames, 0, count))
        return AlignedFeatures(video, audio, times_s.float().to(video.device))


def _check_clip(frames: Tensor, wav: Tensor) -> None:
    lasts = frames.shape[2] * SAMPLES_PER_FRAME if frames.ndim == 5 else -1
    if lasts < 0 or wav.ndim != 2 or len(wav) != len(frames):
        wanted = "wav must be (B, N) for frames (B, 3, T, H, W)"
    elif abs(wav.shape[1] - lasts) > SPARE_SAMPLES:
        wanted = f"wav must last as long as the frames, N = {lasts} within {SPARE_SAMPLES}"
    else:
        return
    raise ValueError(f"{wanted}, got wav {tuple(wav.shape)} and frames {tuple(frames.shape)}")


class AudioOfWindows(NamedTuple):
    """The audio that consecutive windows need.

    Args:
        begin_s: its beginning, in seconds from the first frame; may be negative.
        end_s: its end.
        starts_s: starts of the windows `(S,)`, in seconds from its beginning.
    """

    begin_s: float
    end_s: float
    starts_s: Tensor


def audio_of_windows(spec: ClipSpec, first: int, count: int) -> AudioOfWindows:
    """Return the audio needed by `count` windows, one from each frame from `first` on."""
    before_s = spec.audio_context_s - spec.audio_from_s
    # One sample more: rounding of seconds to samples must not cost the last window.
    length_s = (count - 1) / FPS + spec.audio_until_s + spec.audio_context_s
    begin_s, end_s = first / FPS - before_s, first / FPS + length_s + 1 / spec.sample_rate
    return AudioOfWindows(begin_s, end_s, torch.arange(count) / FPS + before_s)


def window_centres_s(window_frames: int, first: int, count: int) -> np.ndarray:
    """Return the times `(count,)` of the middles of windows, in seconds from the first frame.

    The windows start at frames `first` to `first + count - 1`.
    """
    return (first + np.arange(count) + window_frames / 2) / FPS


def encode_frames(
    model: Any, frames: Tensor, layer: str = "", first: int = 0, end: int | None = None
) -> Tensor:
    """Map frames `(B, 3, T, H, W)` to vectors `(B, W, D)` of the windows `first` to `end` - 1.

    Args:
        model: a sync task.
        frames: its input.
        layer: dotted name of the module whose output is taken; the embeddings by default.
        first: first window that is returned; the frames before are its context.
        end: end of the windows that are returned, by default the last.
    """
    if not layer:
        embeddings: Tensor = model.encode_video(frames)[:, first:end]
        return embeddings
    length = model.spec.window_frames
    # Each window separately, so that a layer's output does not depend on the other windows.
    clips = [clip.unfold(1, length, 1).movedim(1, 0).movedim(-1, 2)[first:end] for clip in frames]
    return torch.stack(
        [_layer_output(model, "video", layer, model.encode_video, windows) for windows in clips]
    )


def encode_audio(model: Any, wav: Tensor, starts_s: Tensor, layer: str = "") -> Tensor:
    """Map the audio `(B, N)` of windows that start at `starts_s` `(S,)` to vectors `(B, S, D)`.

    Args:
        model: a sync task.
        wav: at 16 kHz, with all the audio of the windows.
        starts_s: seconds from its first sample.
        layer: dotted name of the module whose output is taken; the embeddings by default.
    """
    if not layer:
        embeddings: Tensor = model.encode_audio(wav, starts_s)
        return embeddings

    def encode(windows: Tensor) -> object:
        return model.encode_audio(windows, starts_s[:1])

    clips = model.spec.cut_audio(wav, starts_s)
    return torch.stack([_layer_output(model, "audio", layer, encode, part) for part in clips])


def default_layer(model: Any, stream: Stream) -> str:
    """Return the layer used by default: none if embeddings are vectors, else the encoder."""
    embedding = embed_nothing(model, stream)
    is_vector = isinstance(embedding, Tensor) and embedding.ndim == 3  # (1, 1, D)
    return "" if is_vector else ENCODERS[stream]


def find_module(model: object, layer: str) -> nn.Module:
    """Return the module of a dotted name; ValueError lists those there are."""
    modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
    modules.pop("", None)
    if layer not in modules:
        names = ", ".join(name for name in modules if name.count(".") < 2)
        raise ValueError(f"layer must name a module of the model, got {layer!r}; it has {names}")
    return modules[layer]


@torch.no_grad()
def embed_nothing(model: Any, stream: Stream, layer: str = "") -> Any:
    """Return the embedding of one window of grey frames or of silence, one tensor or several.

    With a layer, that layer's vector `(1, 1, D)`. The model is in eval mode meanwhile, so that
    batch norms do not count these windows.
    """
    spec: ClipSpec = model.spec
    weights = iter(model.parameters() if isinstance(model, nn.Module) else ())
    like = next(weights, torch.zeros(()))
    with _eval_mode(model):
        if stream == "video":
            grey = like.new_full((1, 3, spec.window_frames, spec.height, spec.width), 0.5)
            return encode_frames(model, grey, layer) if layer else model.encode_video(grey)
        samples = round((spec.audio_until_s - spec.audio_from_s) * spec.sample_rate)
        silence = torch.zeros(1, samples, device=like.device)
        starts_s = torch.tensor([-spec.audio_from_s])
        return encode_audio(model, silence, starts_s, layer)


@contextmanager
def _eval_mode(model: object) -> Iterator[None]:
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _layer_output(model: Any, stream: Stream, layer: str, encode: Any, windows: Tensor) -> Tensor:
    """Map windows `(W, ...)` to a layer's vectors `(W, D)`.

    A vector is the mean over space or mel bands and, if a window has several tokens, the middle
    one.
    """
    module, vectors = find_module(model, layer), []
    for batch in windows.split(WINDOW_BATCH):
        with _captured_outputs(module) as outputs:
            encode(batch)
        if not outputs:
            raise ValueError(f"layer {layer} takes no part in the {stream} stream")
        tokens = torch.cat([_to_tokens(output, stream) for output in outputs])
        if len(tokens) % len(batch):
            raise ValueError(
                f"layer {layer} gives {len(tokens)} rows for {len(batch)} windows: "
                "choose one that works on each window"
            )
        # The tokens of a window are consecutive: frames or columns in their order.
        tokens = tokens.reshape(len(batch), -1, tokens.shape[-1])
        vectors.append(tokens[:, tokens.shape[1] // 2])
    return torch.cat(vectors)


@contextmanager
def _captured_outputs(module: nn.Module) -> Iterator[list[Tensor]]:
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        # A copy: the next module may modify its input.
        outputs.append(output.clone())

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
