"""VocaLiST: lips and mel joined by three cross-modal transformers; MTDVocaLiST is a narrower one.

Source: Kadandale, Montesinos and Haro, VocaLiST: An Audio-Visual Synchronisation Model for Lips and
Voices (Interspeech 2022); Chen and others, Multimodal Transformer Distillation for Audio-Visual
Synchronization (ICASSP 2024).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.audio.features import DecibelMel
from avsync.encoders.vocalist import HEIGHT, WIDTH, VocalistAudioEncoder, VocalistVisualEncoder
from avsync.fusion.cross_modal import (
    CrossModalTransformer,
    KeysValues,
    LayerAttention,
    band_mask,
    capture_attention,
    folded_attention,
)
from avsync.tasks.input_spec import ClipSpec, repeat_video
from avsync.timing import FRAME_MS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Pairs that the transformers process at once: their widest layer then takes 32 MB.
COMPARED_PAIRS = 256
ENCODED_WINDOWS = 64


@dataclass(frozen=True)
class VocalistConfig:
    """Sizes of a VocaLiST model.

    Args:
        channels: widths of both encoders; the last is that of the tokens.
        depth: layers of each transformer.
        heads: attention heads.
        window_frames: video frames of a window; checkpoints were published for 5, 10 and 25.
    """

    channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    depth: int = 4
    heads: int = 8
    window_frames: int = 5


MTDVOCALIST = VocalistConfig(channels=(16, 32, 64, 128, 200))


class VisualEncoder(Protocol):
    """Visual encoder that VocaLiST accepts: any with a token per frame."""

    def __call__(self, frames: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` to tokens `(B, T, D)`."""

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Map frames to the tokens `(B, T - length + 1, length, D)` of every window."""


class VocalistEmbedding(NamedTuple):
    """Windows of one stream, with all that does not depend on the other stream.

    Args:
        tokens: embedded tokens `(..., L, D)`.
        keys: their keys in the first transformer of the other stream.
        values: their values there.
    """

    tokens: Tensor
    keys: Tensor
    values: Tensor

    @property
    def lead(self) -> torch.Size:
        """The leading axes: one element per window."""
        return self.tokens.shape[:-2]

    def add_axis(self) -> "VocalistEmbedding":
        """Return embeddings `(..., 1)`: with one more leading axis, at the end."""
        return VocalistEmbedding(*(tensor.unsqueeze(len(self.lead)) for tensor in self))

    def expand(self, lead: tuple[int, ...]) -> "VocalistEmbedding":
        """Return the embeddings repeated, without a copy, to the leading axes `lead`."""
        return VocalistEmbedding(
            *(tensor.expand(*lead, *tensor.shape[len(self.lead) :]) for tensor in self)
        )

    def reshape(self, lead: tuple[int, ...]) -> "VocalistEmbedding":
        """Return the same embeddings with other leading axes."""
        return VocalistEmbedding(
            *(tensor.reshape(*lead, *tensor.shape[len(self.lead) :]) for tensor in self)
        )

    def slice(self, start: int, stop: int) -> "VocalistEmbedding":
        """Return the embeddings from `start` to `stop` on the first axis."""
        return VocalistEmbedding(*(tensor[start:stop] for tensor in self))


class Vocalist(nn.Module):
    """Score how well a window of lips and a window of audio match: logits.

    Args:
        visual: frames `(B, 3, T, 48, 96)` -> tokens `(B, T, D)`.
        audio: mel `(B, 80, S)` -> tokens `(B, S, D)`.
        front_end: waveform `(B, N)` -> mel `(B, 80, 1 + N // 200)`.
        audio_to_video: transformer with queries from audio, keys and values from video.
        video_to_audio: transformer with queries from video, keys and values from audio.
        fusion: transformer with queries from the first one's tokens, keys and values from the
            second one's.
        dim: width of the tokens.
        window_frames: video frames of a window.
    """

    def __init__(
        self,
        visual: VisualEncoder,
        audio: VocalistAudioEncoder,
        front_end: DecibelMel,
        audio_to_video: CrossModalTransformer,
        video_to_audio: CrossModalTransformer,
        fusion: CrossModalTransformer,
        dim: int = 512,
        window_frames: int = 5,
    ) -> None:
        super().__init__()
        self.visual, self.audio, self.front_end = visual, audio, front_end
        self.audio_to_video, self.video_to_audio = audio_to_video, video_to_audio
        self.fusion = fusion
        # In the published code; the paper's text has no layer between the pooled tokens and tanh.
        self.fc = nn.Linear(dim, dim)
        self.classifier = nn.Linear(dim, 1)
        hop, reach = front_end.hop_length, front_end.n_fft // 2
        self.columns = window_frames * SAMPLES_PER_FRAME // hop
        self.spec = ClipSpec(
            crop="face",
            height=HEIGHT,
            width=WIDTH,
            window_frames=window_frames,
            audio_from_s=-reach / SAMPLE_RATE,
            audio_until_s=((self.columns - 1) * hop + reach) / SAMPLE_RATE,
            lower_half=True,
            # A frame, as in the public evaluation: comparing a pair is expensive.
            step_ms=FRAME_MS,
            out_of_range_s=0.0,
        )

    def forward(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` in [0, 1] and mel `(B, 80, S)` to logits `(B,)`.

        T and S are free; mel may also be `(B, 1, 80, S)`. With fewer windows of frames than of mel,
        each one is paired with as many consecutive windows of mel: frames `(B / 2, ...)` with two
        each, see `repeat_video`.
        """
        return self.join(*self.tokens(frames, mel))

    def tokens(self, frames: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoders' tokens, of frames `(B, T, D)` and of audio `(B, S, D)`."""
        return self.visual(frames), self.audio(mel[:, 0] if mel.ndim == 4 else mel)

    def join(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map the encoders' tokens `(B, T, D)` and `(B, S, D)` to logits `(B,)`."""
        video = repeat_video(video, audio)
        frames, columns = video.shape[1], audio.shape[1]
        a = self.audio_to_video(audio, video, band_mask(columns, frames, video))
        v = self.video_to_audio(video, audio, band_mask(frames, columns, video))
        return self.head(self.fusion(a, v, band_mask(columns, frames, video)))

    def encode_video(self, frames: Tensor) -> VocalistEmbedding:
        """Map frames `(B, 3, T, 48, 96)` to embeddings `(B, T - window_frames + 1, ...)`."""
        windows = self.visual.windows(frames, self.spec.window_frames)
        return self._embed(windows, self.video_to_audio, self.audio_to_video)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> VocalistEmbedding:
        """Encode the audio of windows.

        Args:
            wav: waveforms `(B, N)` at 16 kHz.
            starts_s: window starts `(S,)` in seconds; rounded to a sample.

        Returns:
            Embeddings `(B, S, ...)`.

        Raises:
            ValueError: a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        features = self.front_end.columns(rearrange(windows, "b s n -> (b s) n"))
        embeddings = self.encode_features(features)
        return VocalistEmbedding(*(tensor.unflatten(0, windows.shape[:2]) for tensor in embeddings))

    def encode_features(self, features: Tensor) -> VocalistEmbedding:
        """Map mel windows `(B, 80, S)` to embeddings `(B, ...)`."""
        features = features.to(self.classifier.weight.dtype)
        tokens = torch.cat([self.audio(batch) for batch in features.split(ENCODED_WINDOWS)])
        return self._embed(tokens, self.audio_to_video, self.video_to_audio)

    def window_features(self, wav: Tensor, windows: int) -> Tensor:
        """Map a clip's waveform `(B, N)` to the mel of its windows `(B, windows, 80, S)`.

        As in the public evaluation, the window of frame k starts at column `int(3.2 k)` of the
        whole clip's mel. Training cut the samples first, so the outer columns differ; see
        `DecibelMel`.
        """
        return self.spec.cut_features(self.front_end, wav, windows, self.columns)

    def compare(self, video: VocalistEmbedding, audio: VocalistEmbedding) -> Tensor:
        """Map embeddings whose leading axes broadcast to logits of those axes.

        Fastest for video `(W, 1, ...)` and audio `(W, K, ...)`: what the candidates of a video
        window share is computed once.
        """
        if video.lead[-1:] != (1,):
            return self.compare(video.add_axis(), audio.add_axis())[..., 0]
        lead = torch.broadcast_shapes(video.lead, audio.lead)
        groups, count = math.prod(lead[:-1]), lead[-1]
        video = video.expand((*lead[:-1], 1)).reshape((groups,))
        audio = audio.expand(lead).reshape((groups, count))
        size = max(1, COMPARED_PAIRS // count)
        scores = [
            self._compare_groups(video.slice(i, i + size), audio.slice(i, i + size))
            for i in range(0, groups, size)
        ]
        return torch.cat(scores).reshape(lead)

    def _compare_groups(self, video: VocalistEmbedding, audio: VocalistEmbedding) -> Tensor:
        """Map video `(G, ...)` and audio `(G, K, ...)` to logits `(G, K)`."""
        groups, count, columns = audio.tokens.shape[:3]
        frames = video.tokens.shape[1]
        queries = rearrange(audio.tokens, "g k s d -> g (k s) d")
        a = folded_attention(self.audio_to_video, queries, KeysValues(video.keys, video.values))
        keys_values = KeysValues(*(rearrange(e, "g k ... -> (g k) ...") for e in audio[1:]))
        repeated = video.tokens[:, None].expand(-1, count, -1, -1)
        mask = band_mask(frames, columns, repeated)
        queries = rearrange(repeated, "g k t d -> (g k) t d")
        v = self.video_to_audio.attend(queries, keys_values, mask)
        cache = self.fusion.keys_values(self.fusion.embed(v))
        a = rearrange(a, "g (k s) d -> (g k) s d", k=count)
        joint = folded_attention(self.fusion, self.fusion.embed(a), cache)
        return self.head(joint).reshape(groups, count)

    def _embed(
        self, tokens: Tensor, querying: CrossModalTransformer, queried: CrossModalTransformer
    ) -> VocalistEmbedding:
        cache = queried.keys_values(queried.embed(tokens))
        return VocalistEmbedding(querying.embed(tokens), cache.keys, cache.values)

    def head(self, tokens: Tensor) -> Tensor:
        """Map the last transformer's tokens `(B, S, D)` to logits `(B,)`."""
        # In full precision under autocast too: candidates differ by less than bfloat16 resolves.
        with torch.autocast(tokens.device.type, enabled=False):
            pooled = reduce(tokens.to(self.fc.weight.dtype), "b s d -> b d", "max")
            logits: Tensor = self.classifier(self.fc(pooled).tanh())
        return logits[:, 0]


def build_vocalist(config: VocalistConfig, visual: VisualEncoder | None = None) -> Vocalist:
    """Build a VocaLiST with fresh weights.

    Args:
        config: sizes.
        visual: visual encoder to use instead of a new one; its tokens have width
            `config.channels[-1]`.
    """
    dim = config.channels[-1]
    return Vocalist(
        visual=visual or VocalistVisualEncoder(config.channels),
        audio=VocalistAudioEncoder(config.channels),
        front_end=DecibelMel(),
        audio_to_video=CrossModalTransformer(dim, config.depth, config.heads),
        video_to_audio=CrossModalTransformer(dim, config.depth, config.heads),
        fusion=CrossModalTransformer(dim, config.depth, config.heads),
        dim=dim,
        window_frames=config.window_frames,
    )


class VocalistActivations(NamedTuple):
    """Output and intermediate results of a VocaLiST, for distillation.

    Args:
        scores: logits `(B,)`.
        video: tokens of the visual encoder `(B, T, D)`.
        audio: tokens of the audio encoder `(B, S, D)`.
        pooled: tokens of the last transformer, their maximum over time `(B, D)`.
        fusion: attention of every layer of the last transformer.
        audio_to_video: attention of every layer of that transformer.
        video_to_audio: attention of every layer of that transformer.
    """

    scores: Tensor
    video: Tensor
    audio: Tensor
    pooled: Tensor
    fusion: list[LayerAttention]
    audio_to_video: list[LayerAttention]
    video_to_audio: list[LayerAttention]


def capture_activations(model: Vocalist, frames: Tensor, mel: Tensor) -> VocalistActivations:
    """Run a model's forward pass and capture its intermediate results with hooks.

    Args:
        model: a VocaLiST.
        frames: `(B, 3, T, 48, 96)` in [0, 1].
        mel: `(B, 80, S)`.
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
    return VocalistActivations(
        scores, video, audio, pooled[0], fusion, audio_to_video, video_to_audio
    )
