"""AV-HuBERT: speech as tokens, out of lips, voice or both.

Shi, Hsu, Lakhotia and Mohamed, Learning Audio-Visual Speech Representation by Masked Multimodal
Cluster Prediction (ICLR 2022).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.audio.fbank import StackedFbank

EVERY = slice(None)
AUDIO_WIDTH = StackedFbank.n_filters * StackedFbank.stacked


@dataclass(frozen=True)
class AvHubertConfig:
    """Sizes of an AV-HuBERT encoder; those of the published base by default.

    Args:
        dim: width of the tokens.
        depth: transformer layers.
        heads: attention heads; must divide `dim`.
        ffn: hidden width of the feed-forward layers.
        channels: widths of the four stages that see the mouth.
        position_frames: frames that the convolution which tells places spans.
        dropout: in the transformer.
        modality_dropout: in training, the share of clips that lose one of their streams.
        audio_dropout: of those, the share that lose the sound; the others lose the pictures.
    """

    dim: int = 768
    depth: int = 12
    heads: int = 12
    ffn: int = 3072
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    position_frames: int = 128
    dropout: float = 0.1
    modality_dropout: float = 0.5
    audio_dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.depth < 1:
            raise ValueError(
                f"heads must divide dim and depth be 1 or more, got {self.heads} heads for dim "
                f"{self.dim} and depth {self.depth}"
            )
        if not (0 <= self.modality_dropout <= 1 and 0 <= self.audio_dropout <= 1):
            raise ValueError(
                "modality_dropout and audio_dropout must be in [0, 1], "
                f"got {self.modality_dropout} and {self.audio_dropout}"
            )


BASE = AvHubertConfig()
LARGE = AvHubertConfig(dim=1024, depth=24, heads=16, ffn=4096)
# What a CPU trains in an hour.
SMALL = AvHubertConfig(256, 4, 4, 1024, channels=(32, 48, 96, 192), position_frames=15)


class AvHubertEncoder(nn.Module):
    """Turns mouths, sound or both into tokens of speech, 25 a second.

    A stream that is not there is zeros after its projection, so the tokens of one stream alone and
    of both live in one space. Every token attends to the whole clip.

    Args:
        config: sizes.
    """

    # Groups of the convolution that tells places.
    groups = 16

    def __init__(self, config: AvHubertConfig = BASE) -> None:
        super().__init__()
        self.config = config
        dim, reach = config.dim, config.position_frames
        self.audio_proj = nn.Linear(AUDIO_WIDTH, dim)
        self.mouth = MouthResnetEncoder(config.channels)
        self.video_proj = nn.Linear(config.channels[-1], dim)
        self.fused_norm = nn.LayerNorm(2 * dim)
        self.fused_proj = nn.Linear(2 * dim, dim)
        groups = math.gcd(self.groups, dim)
        self.places = nn.Conv1d(dim, dim, reach, padding=reach // 2, groups=groups)
        # wav2vec 2.0's, without its weight norm.
        nn.init.normal_(self.places.weight, std=math.sqrt(4 * groups / (reach * dim)))
        assert self.places.bias is not None
        nn.init.zeros_(self.places.bias)
        layer = nn.TransformerEncoderLayer(
            dim, config.heads, config.ffn, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, config.depth, nn.LayerNorm(dim), enable_nested_tensor=False
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, audio: Tensor | None, video: Tensor | None, lengths: Tensor | None = None
    ) -> Tensor:
        """Maps log energies `(B, T, 104)` and grey mouths `(B, T, H, W)` in [0, 1] (88x88 as
        published), either None, to tokens `(B, T, D)`; `lengths` `(B,)` are the frames that count.
        """
        heard = None if audio is None else self.hear(audio)
        seen = None if video is None else self.see(video, lengths)
        return self.join(heard, seen, lengths)

    def hear(self, audio: Tensor) -> Tensor:
        """Maps log energies `(B, T, 104)` to features `(B, T, D)` that know one frame each."""
        if audio.ndim != 3 or audio.shape[2] != AUDIO_WIDTH:
            raise ValueError(f"audio must be (B, T, {AUDIO_WIDTH}), got {tuple(audio.shape)}")
        features: Tensor = self.audio_proj(audio)
        return features

    def see(self, video: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps grey mouths `(B, T, H, W)` to features `(B, T, D)` that know `mouth.reach_frames` to
        either side; what lies beyond `lengths` `(B,)` is not looked at.
        """
        features: Tensor = self.video_proj(self.mouth(video, lengths))
        return features

    def join(
        self,
        heard: Tensor | None,
        seen: Tensor | None,
        lengths: Tensor | None = None,
        kept: slice = EVERY,
    ) -> Tensor:
        """Maps features of both streams `(B, T, D)`, either None, to tokens `(B, T, D)`, of which
        only those that are `kept` are worked out to the end: `(B, K, D)`.
        """
        present = heard if heard is not None else seen
        if present is None:
            raise ValueError("audio or video must be given, got neither")
        if heard is not None and seen is not None:
            if heard.shape != seen.shape:
                raise ValueError(
                    "audio and video must have as many frames, "
                    f"got {heard.shape[1]} and {seen.shape[1]} of {len(heard)} and {len(seen)}"
                )
            heard, seen = self._drop_streams(heard, seen)
        nothing = torch.zeros_like(present)
        both = [nothing if each is None else each for each in (heard, seen)]
        x = self.fused_proj(self.fused_norm(torch.cat(both, dim=-1)))
        hidden = None
        if lengths is not None:
            hidden = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
            x = x.masked_fill(hidden[..., None], 0)
        # An even kernel gives one place too many.
        places = self.places(x.mT)[..., : x.shape[1]].mT
        x = self.dropout(x + nn.functional.gelu(places))
        *layers, last = self.transformer.layers
        for layer in layers:
            x = layer(x, src_key_padding_mask=hidden)
        if kept == EVERY:
            x = last(x, src_key_padding_mask=hidden)
        else:
            assert isinstance(last, nn.TransformerEncoderLayer)
            x = _some(last, x, kept, hidden)
        assert self.transformer.norm is not None
        tokens: Tensor = self.transformer.norm(x)
        return tokens

    def _drop_streams(self, heard: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Modality dropout, for each clip on its own; the paper drops for a batch at once."""
        if not self.training:
            return heard, seen
        draws = torch.rand(2, len(heard), 1, 1, device=heard.device)
        loses = draws[0] < self.config.modality_dropout
        loses_sound = draws[1] < self.config.audio_dropout
        heard = heard.masked_fill(loses & loses_sound, 0)
        return heard, seen.masked_fill(loses & ~loses_sound, 0)


def _some(
    layer: nn.TransformerEncoderLayer, x: Tensor, kept: slice, hidden: Tensor | None
) -> Tensor:
    """What a layer that norms first gives for the tokens that are kept; they attend to all."""
    normed, x = layer.norm1(x), x[:, kept]
    attended, _ = layer.self_attn(
        normed[:, kept], normed, normed, key_padding_mask=hidden, need_weights=False
    )
    x = x + layer.dropout1(attended)
    wide = layer.dropout(layer.activation(layer.linear1(layer.norm2(x))))
    some: Tensor = x + layer.dropout2(layer.linear2(wide))
    return some


STEM_FRAMES = 5
# The smallest crop that the stem, the pooling and three halvings leave a pixel of.
SMALLEST = 16


class MouthResnetEncoder(nn.Module):
    """Turns a clip of grey mouth crops of any size into one token per video frame.

    A token sees two frames to either side; beyond the clip's ends stand zeros.

    Args:
        channels: widths of the stem and first stage, and of three more that halve height and width;
            the last is that of the tokens.
    """

    # Grey levels of the crops that the published model was trained on.
    mean, spread = 0.421, 0.165
    reach_frames = STEM_FRAMES // 2

    def __init__(self, channels: tuple[int, int, int, int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        first = channels[0]
        # Named as in the published model; the convolution is done in two dimensions.
        self.stem = nn.Conv3d(1, first, (STEM_FRAMES, 7, 7), bias=False)
        nn.init.kaiming_normal_(self.stem.weight, mode="fan_out", nonlinearity="relu")
        self.stem_norm, self.stem_act = nn.BatchNorm2d(first), nn.PReLU(first)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages: list[nn.Module] = []
        before = first
        for number, width in enumerate(channels):
            stages += [PreluBlock(before, width, 2 if number else 1), PreluBlock(width, width)]
            before = width
        self.trunk = nn.Sequential(*stages)

    def forward(self, grey: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Maps grey crops `(B, T, H, W)` in [0, 1] to tokens `(B, T, channels[-1])`; beyond
        `lengths` `(B,)` frames they are zeros, and cost nothing.
        """
        if grey.ndim != 4 or min(grey.shape[2:]) < SMALLEST:
            raise ValueError(
                f"video must be grey (B, T, H, W) of at least {SMALLEST} pixels, "
                f"got {tuple(grey.shape)}"
            )
        x = F.pad((grey - self.mean) / self.spread, (0, 0, 0, 0, *(2 * [self.reach_frames])))
        # Five frames as channels: quicker on CPUs than the convolution in three dimensions. Not
        # channels last: torch 2.11 then corrupts memory in training, see Resnet2d3dEncoder.
        starts = range(STEM_FRAMES)
        x = torch.stack([x[:, k : k + grey.shape[1]] for k in starts], dim=2).flatten(0, 1)
        if lengths is None:
            return rearrange(self._tokens(x), "(b t) c -> b t c", b=len(grey))
        counted = torch.arange(grey.shape[1], device=grey.device) < lengths[:, None]
        tokens = self._tokens(x[counted.flatten()])
        return tokens.new_zeros(*counted.shape, tokens.shape[1]).index_put((counted,), tokens)

    def _tokens(self, x: Tensor) -> Tensor:
        """Stacks of frames `(N, 5, H, W)` -> tokens `(N, channels[-1])`."""
        x = F.conv2d(x, self.stem.weight[:, 0], stride=2, padding=3)
        x = self.trunk(self.pool(self.stem_act(self.stem_norm(x))))
        return reduce(x, "n c h w -> n c", "mean")


class PreluBlock(nn.Module):
    """A ResNet block with a learnt slope for what is negative.

    Args:
        in_channels: width of what comes in.
        out_channels: width of what goes out.
        stride: of the first convolution, and of the way past.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(in_channels, out_channels, 3, stride),
            nn.BatchNorm2d(out_channels),
            nn.PReLU(out_channels),
            convolution(out_channels, out_channels, 3),
            nn.BatchNorm2d(out_channels),
        )
        self.past: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            narrow = convolution(in_channels, out_channels, 1, stride)
            self.past = nn.Sequential(narrow, nn.BatchNorm2d(out_channels))
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, in_channels, H, W)` to `(N, out_channels, H / stride, W / stride)`."""
        out: Tensor = self.act(self.layers(x) + self.past(x))
        return out


def convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
