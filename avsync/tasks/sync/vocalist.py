"""VocaLiST: lips and mel, joined by three cross-modal transformers; MTDVocaLiST is a narrower one.

Kadandale, Montesinos and Haro, VocaLiST: An Audio-Visual Synchronisation Model for Lips and Voices
(Interspeech 2022); Chen and others, Multimodal Transformer Distillation for Audio-Visual
Synchronization (ICASSP 2024).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.audio.features import DecibelMel
from avsync.encoders.mc3 import Mc3Encoder
from avsync.encoders.timm_backbone import TimmFrameEncoder
from avsync.encoders.vocalist import HEIGHT, WIDTH, VocalistAudioEncoder, VocalistVisualEncoder
from avsync.fusion.cross_modal import CrossModalTransformer, KeysValues, band_mask, folded_attention
from avsync.tasks.input_spec import ClipSpec, meeting
from avsync.timing import FRAME_MS, SAMPLE_RATE, SAMPLES_PER_FRAME

# Pairs that go through the transformers together: their widest layer takes 32 MB.
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
    """What VocaLiST asks of its visual encoder; any that gives a token per frame will do."""

    def __call__(self, frames: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` to tokens `(B, T, D)`."""

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Map frames to the tokens `(B, T - length + 1, length, D)` of every window."""


class VocalistEmbedding(NamedTuple):
    """One window of one stream, all that does not depend on the other: its embedded tokens `(...,
    L, D)`, and their keys and values in the first transformer of the other stream.
    """

    tokens: Tensor
    keys: Tensor
    values: Tensor

    @property
    def lead(self) -> torch.Size:
        """The leading axes: one entry per window."""
        return self.tokens.shape[:-2]

    def one_more_axis(self) -> "VocalistEmbedding":
        """Entries `(..., 1)`."""
        return VocalistEmbedding(*(each.unsqueeze(len(self.lead)) for each in self))

    def expand(self, lead: tuple[int, ...]) -> "VocalistEmbedding":
        """Return the entries repeated, without a copy, to the leading axes `lead`."""
        return VocalistEmbedding(
            *(each.expand(*lead, *each.shape[len(self.lead) :]) for each in self)
        )

    def reshape(self, lead: tuple[int, ...]) -> "VocalistEmbedding":
        """Return the same entries with other leading axes."""
        return VocalistEmbedding(
            *(each.reshape(*lead, *each.shape[len(self.lead) :]) for each in self)
        )

    def part(self, start: int, stop: int) -> "VocalistEmbedding":
        """Return the entries from start to stop on the first axis."""
        return VocalistEmbedding(*(each[start:stop] for each in self))


class Vocalist(nn.Module):
    """Scores how well a window of lips and a window of voice belong together: logits.

    Args:
        visual: frames `(B, 3, T, 48, 96)` -> tokens `(B, T, D)`.
        audio: mel `(B, 80, S)` -> tokens `(B, S, D)`.
        front_end: waveform `(B, N)` -> mel `(B, 80, 1 + N // 200)`.
        audio_to_video: transformer in which the audio asks the video.
        video_to_audio: transformer in which the video asks the audio.
        fusion: transformer in which the first one's tokens ask the second one's.
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
        # The paper's text has no layer between the pooled tokens and the tanh; the code has.
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
            # The frame, as the public evaluation has it: pairs are dear here.
            step_ms=FRAME_MS,
            far_s=0.0,
        )

    def forward(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Map frames `(B, 3, T, 48, 96)` in [0, 1] and mel `(B, 80, S)` to logits `(B,)`.

        Any T and S go; mel may be `(B, 1, 80, S)` as well. Of fewer frames than audio streams, each window
        meets as many audio streams, one after the other: frames `(B / 2, ...)` meet two.
        """
        return self.join(*self.tokens(frames, mel))

    def tokens(self, frames: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoders' tokens, of frames `(B, T, D)` and of audio `(B, S, D)`."""
        return self.visual(frames), self.audio(mel[:, 0] if mel.ndim == 4 else mel)

    def join(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map the encoders' tokens `(B, T, D)` and `(B, S, D)` to logits `(B,)`."""
        video = meeting(video, audio)
        lips, voice = video.shape[1], audio.shape[1]
        a = self.audio_to_video(audio, video, band_mask(voice, lips, video))
        v = self.video_to_audio(video, audio, band_mask(lips, voice, video))
        return self.head(self.fusion(a, v, band_mask(voice, lips, video)))

    def encode_video(self, frames: Tensor) -> VocalistEmbedding:
        """Map frames `(B, 3, T, 48, 96)` to entries `(B, T - window_frames + 1, ...)`."""
        windows = self.visual.windows(frames, self.spec.window_frames)
        return self._entry(windows, self.video_to_audio, self.audio_to_video)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> VocalistEmbedding:
        """Map a waveform `(B, N)` at 16 kHz and window starts `(S,)` in seconds to entries `(B, S,
        ...)`.

        Starts are rounded to a sample. ValueError where a window reaches outside the waveform.
        """
        windows = self.spec.cut_audio(wav, starts_s)
        features = self.front_end.columns(rearrange(windows, "b s n -> (b s) n"))
        embeddings = self.encode_features(features)
        return VocalistEmbedding(*(each.unflatten(0, windows.shape[:2]) for each in embeddings))

    def encode_features(self, features: Tensor) -> VocalistEmbedding:
        """Map mel windows `(B, 80, S)` to entries `(B, ...)`."""
        features = features.to(self.classifier.weight.dtype)
        tokens = torch.cat([self.audio(batch) for batch in features.split(ENCODED_WINDOWS)])
        return self._entry(tokens, self.audio_to_video, self.video_to_audio)

    def window_features(self, wav: Tensor, windows: int) -> Tensor:
        """Map a clip's waveform `(B, N)` to the mel of its windows `(B, windows, 80, S)`, as the
        public evaluation cuts them: from column `int(3.2 k)` of the whole clip's mel for frame k.

        Training cut the samples first, so the outer columns differ; see `DecibelMel`.
        """
        return self.spec.cut_features(self.front_end, wav, windows, self.columns)

    def compare(self, video: VocalistEmbedding, audio: VocalistEmbedding) -> Tensor:
        """Map entries whose leading axes broadcast to logits of those axes.

        Quickest for entries of video `(W, 1, ...)` against `(W, K, ...)` of audio: what a video
        window's candidates share is worked out once.
        """
        if video.lead[-1:] != (1,):
            return self.compare(video.one_more_axis(), audio.one_more_axis())[..., 0]
        lead = torch.broadcast_shapes(video.lead, audio.lead)
        groups, count = math.prod(lead[:-1]), lead[-1]
        video = video.expand((*lead[:-1], 1)).reshape((groups,))
        audio = audio.expand(lead).reshape((groups, count))
        size = max(1, COMPARED_PAIRS // count)
        scores = [
            self._compare(video.part(i, i + size), audio.part(i, i + size))
            for i in range(0, groups, size)
        ]
        return torch.cat(scores).reshape(lead)

    def _compare(self, video: VocalistEmbedding, audio: VocalistEmbedding) -> Tensor:
        """Video `(G, ...)` against audio `(G, K, ...)`: logits `(G, K)`."""
        groups, count, voice = audio.tokens.shape[:3]
        lips = video.tokens.shape[1]
        queries = rearrange(audio.tokens, "g k s d -> g (k s) d")
        a = folded_attention(self.audio_to_video, queries, KeysValues(video.keys, video.values))
        asked = KeysValues(*(rearrange(e, "g k ... -> (g k) ...") for e in audio[1:]))
        lead = video.tokens[:, None].expand(-1, count, -1, -1)
        mask = band_mask(lips, voice, lead)
        v = self.video_to_audio.attend(rearrange(lead, "g k t d -> (g k) t d"), asked, mask)
        cache = self.fusion.keys_values(self.fusion.embed(v))
        a = rearrange(a, "g (k s) d -> (g k) s d", k=count)
        joint = folded_attention(self.fusion, self.fusion.embed(a), cache)
        return self.head(joint).reshape(groups, count)

    def _entry(
        self, tokens: Tensor, asking: CrossModalTransformer, asked: CrossModalTransformer
    ) -> VocalistEmbedding:
        cache = asked.keys_values(asked.embed(tokens))
        return VocalistEmbedding(asking.embed(tokens), cache.keys, cache.values)

    def head(self, tokens: Tensor) -> Tensor:
        """Map the last transformer's tokens `(B, S, D)` to logits `(B,)`."""
        # Whole under autocast too: candidates differ by less than bfloat16 resolves.
        with torch.autocast(tokens.device.type, enabled=False):
            pooled = reduce(tokens.to(self.fc.weight.dtype), "b s d -> b d", "max")
            logits: Tensor = self.classifier(self.fc(pooled).tanh())
        return logits[:, 0]


def build(config: VocalistConfig) -> Vocalist:
    """Return the model of that configuration, with fresh weights."""
    dim = config.channels[-1]
    return Vocalist(
        visual=VocalistVisualEncoder(config.channels),
        audio=VocalistAudioEncoder(config.channels),
        front_end=DecibelMel(),
        audio_to_video=CrossModalTransformer(dim, config.depth, config.heads),
        video_to_audio=CrossModalTransformer(dim, config.depth, config.heads),
        fusion=CrossModalTransformer(dim, config.depth, config.heads),
        dim=dim,
        window_frames=config.window_frames,
    )


@dataclass(frozen=True)
class Mc3VocalistConfig:
    """Sizes of a VocaLiST with MC3-18 as its visual encoder.

    Args:
        visual_channels: widths of MC3's stages, one to four; the last is that of the tokens.
        channels: widths of the audio encoder; the last is that of the tokens.
        depth: layers of each transformer.
        heads: attention heads.
        window_frames: video frames of a window.
    """

    visual_channels: tuple[int, ...] = (64, 128, 256, 512)
    channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    depth: int = 4
    heads: int = 8
    window_frames: int = 5


@dataclass(frozen=True)
class TimmVocalistConfig:
    """Sizes of a VocaLiST that looks at each frame with a network of timm.

    Args:
        backbone: name of an image model in timm.
        channels: widths of the audio encoder; the last is that of the tokens.
        depth: layers of each transformer.
        heads: attention heads.
        window_frames: video frames of a window.
    """

    backbone: str = "resnet18"
    channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    depth: int = 4
    heads: int = 8
    window_frames: int = 5


def build_mc3(config: Mc3VocalistConfig, pretrained: bool = False) -> Vocalist:
    """Return the model of that configuration; `pretrained` begins with eyes that know Kinetics-400."""
    if config.visual_channels[-1:] != config.channels[-1:]:
        raise ValueError(
            "the last of visual_channels and channels must be the same width, "
            f"got {config.visual_channels} and {config.channels}"
        )
    return _with(Mc3Encoder(config.visual_channels, pretrained), config)


def build_timm(config: TimmVocalistConfig, pretrained: bool = False) -> Vocalist:
    """Return the model of that configuration; `pretrained` begins with the weights that timm names."""
    visual = TimmFrameEncoder(config.channels[-1], config.backbone, pretrained=pretrained)
    return _with(visual, config)


def _with(visual: VisualEncoder, config: Mc3VocalistConfig | TimmVocalistConfig) -> Vocalist:
    dim = config.channels[-1]

    def transformer() -> CrossModalTransformer:
        return CrossModalTransformer(dim, config.depth, config.heads)

    return Vocalist(
        visual=visual,
        audio=VocalistAudioEncoder(config.channels),
        front_end=DecibelMel(),
        audio_to_video=transformer(),
        video_to_audio=transformer(),
        fusion=transformer(),
        dim=dim,
        window_frames=config.window_frames,
    )
