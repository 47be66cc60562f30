"""AV-HuBERT: encode speech from lips, audio or both as one sequence of tokens.

Source: Shi, Hsu, Lakhotia and Mohamed, Learning Audio-Visual Speech Representation by Masked
Multimodal Cluster Prediction (ICLR 2022).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from avsync.audio.fbank import StackedFbank

AUDIO_DIM = StackedFbank.n_filters * StackedFbank.stacked
ALL_FRAMES = slice(None)
# Groups of the positional convolution.
POSITION_GROUPS = 16
STEM_FRAMES = 5
# The smallest crop, in pixels, of which the stem, the pooling and three halvings leave one pixel.
MIN_SIZE = 16


@dataclass(frozen=True)
class AvHubertConfig:
    """Sizes of an AV-HuBERT encoder; the defaults are those of the published base model.

    Args:
        dim: width of the tokens.
        depth: transformer layers.
        heads: attention heads; must divide `dim`.
        ffn: hidden width of the feed-forward layers.
        channels: widths of the four stages of the mouth ResNet.
        position_frames: kernel size of the positional convolution, in frames.
        dropout: dropout probability in the transformer.
        modality_dropout: in training, the probability that a clip loses one of its streams.
        audio_dropout: of those clips, the share that lose the audio; the others lose the video.
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
# Small enough to train on a CPU in an hour.
SMALL = AvHubertConfig(256, 4, 4, 1024, channels=(32, 48, 96, 192), position_frames=15)


class AvHubertEncoder(nn.Module):
    """AV-HuBERT encoder: mouth crops, audio or both to speech tokens, 25 a second.

    A missing stream is replaced by zeros after its projection, so tokens of one stream and of both
    lie in one space. Every token attends to the whole clip.

    Args:
        config: sizes.
    """

    def __init__(self, config: AvHubertConfig = BASE) -> None:
        super().__init__()
        self.config = config
        dim, kernel = config.dim, config.position_frames
        self.audio_proj = nn.Linear(AUDIO_DIM, dim)
        self.mouth = MouthResnetEncoder(config.channels)
        self.video_proj = nn.Linear(config.channels[-1], dim)
        self.fused_norm = nn.LayerNorm(2 * dim)
        self.fused_proj = nn.Linear(2 * dim, dim)
        groups = math.gcd(POSITION_GROUPS, dim)
        self.places = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups)
        # The positional convolution of wav2vec 2.0, without its weight norm.
        nn.init.normal_(self.places.weight, std=math.sqrt(4 * groups / (kernel * dim)))
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
        """Map audio features and mouth crops, one of them possibly None, to speech tokens.

        Args:
            audio: log filterbank energies `(B, T, 104)` (`StackedFbank`), or None.
            video: grey mouth crops `(B, T, H, W)` in [0, 1], 88x88 as published, or None.
            lengths: valid frames of each clip `(B,)`; all T if None.

        Returns:
            Tokens `(B, T, D)`.
        """
        audio_features = None if audio is None else self.encode_audio(audio)
        video_features = None if video is None else self.encode_video(video, lengths)
        return self.fuse(audio_features, video_features, lengths)

    def encode_audio(self, audio: Tensor) -> Tensor:
        """Map log energies `(B, T, 104)` to features `(B, T, D)`, each frame on its own."""
        if audio.ndim != 3 or audio.shape[2] != AUDIO_DIM:
            raise ValueError(f"audio must be (B, T, {AUDIO_DIM}), got {tuple(audio.shape)}")
        features: Tensor = self.audio_proj(audio)
        return features

    def encode_video(self, video: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map grey mouth crops `(B, T, H, W)` to features `(B, T, D)`.

        A feature sees `mouth.reach_frames` frames to either side; frames beyond `lengths` `(B,)`
        are not computed.
        """
        features: Tensor = self.video_proj(self.mouth(video, lengths))
        return features

    def fuse(
        self,
        audio: Tensor | None,
        video: Tensor | None,
        lengths: Tensor | None = None,
        keep: slice = ALL_FRAMES,
    ) -> Tensor:
        """Fuse the features of both streams and run the transformer on them.

        Args:
            audio: features `(B, T, D)` of `encode_audio`, or None.
            video: features `(B, T, D)` of `encode_video`, or None.
            lengths: valid frames of each clip `(B,)`; all T if None.
            keep: frames whose tokens the last layer computes; they attend to all frames.

        Returns:
            Tokens `(B, T, D)`, or `(B, K, D)` of the K frames in `keep`.
        """
        x = self._fuse_streams(audio, video)
        padding = None
        if lengths is not None:
            padding = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
            x = x.masked_fill(padding[..., None], 0)
        # An even kernel gives one position too many.
        positions = self.places(x.mT)[..., : x.shape[1]].mT
        x = self.dropout(x + nn.functional.gelu(positions))
        *layers, last = self.transformer.layers
        for layer in layers:
            x = layer(x, src_key_padding_mask=padding)
        if keep == ALL_FRAMES:
            x = last(x, src_key_padding_mask=padding)
        else:
            assert isinstance(last, nn.TransformerEncoderLayer)
            x = _layer_on_subset(last, x, keep, padding)
        assert self.transformer.norm is not None
        tokens: Tensor = self.transformer.norm(x)
        return tokens

    def _fuse_streams(self, audio: Tensor | None, video: Tensor | None) -> Tensor:
        present = audio if audio is not None else video
        if present is None:
            raise ValueError("audio or video must be given, got neither")
        if audio is not None and video is not None:
            if audio.shape != video.shape:
                raise ValueError(
                    "audio and video must have equally many frames, "
                    f"got {audio.shape[1]} and {video.shape[1]} of {len(audio)} and {len(video)}"
                )
            audio, video = self._drop_modalities(audio, video)
        zeros = torch.zeros_like(present)
        both = [zeros if stream is None else stream for stream in (audio, video)]
        fused: Tensor = self.fused_proj(self.fused_norm(torch.cat(both, dim=-1)))
        return fused

    def _drop_modalities(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """Apply modality dropout to each clip independently; the paper drops a batch at once."""
        if not self.training:
            return audio, video
        draws = torch.rand(2, len(audio), 1, 1, device=audio.device)
        drops = draws[0] < self.config.modality_dropout
        drops_audio = draws[1] < self.config.audio_dropout
        audio = audio.masked_fill(drops & drops_audio, 0)
        return audio, video.masked_fill(drops & ~drops_audio, 0)


def _layer_on_subset(
    layer: nn.TransformerEncoderLayer, x: Tensor, keep: slice, padding: Tensor | None
) -> Tensor:
    """Run a pre-norm layer for the tokens in `keep`, which attend to all tokens."""
    normed, x = layer.norm1(x), x[:, keep]
    attended, _ = layer.self_attn(
        normed[:, keep], normed, normed, key_padding_mask=padding, need_weights=False
    )
    x = x + layer.dropout1(attended)
    hidden = layer.dropout(layer.activation(layer.linear1(layer.norm2(x))))
    out: Tensor = x + layer.dropout2(layer.linear2(hidden))
    return out


class MouthResnetEncoder(nn.Module):
    """AV-HuBERT's visual front end: grey mouth crops of any size to one token per video frame.

    A token sees two frames to either side; the clip is padded with zeros at its ends.

    Args:
        channels: widths of the stem and first stage, and of three more that halve height and width;
            the last is that of the tokens.
    """

    # Mean and standard deviation of the crops that the published model was trained on.
    mean, spread = 0.421, 0.165
    reach_frames = STEM_FRAMES // 2

    def __init__(self, channels: tuple[int, int, int, int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        first = channels[0]
        # Named as in the published model; computed as a 2-D convolution.
        self.stem = nn.Conv3d(1, first, (STEM_FRAMES, 7, 7), bias=False)
        nn.init.kaiming_normal_(self.stem.weight, mode="fan_out", nonlinearity="relu")
        self.stem_norm, self.stem_act = nn.BatchNorm2d(first), nn.PReLU(first)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages: list[nn.Module] = []
        previous = first
        for number, width in enumerate(channels):
            stages += [PreluBlock(previous, width, 2 if number else 1), PreluBlock(width, width)]
            previous = width
        self.trunk = nn.Sequential(*stages)

    def forward(self, grey: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map grey crops `(B, T, H, W)` in [0, 1] to tokens `(B, T, channels[-1])`.

        Tokens beyond `lengths` `(B,)` frames are zeros and are not computed.
        """
        if grey.ndim != 4 or min(grey.shape[2:]) < MIN_SIZE:
            raise ValueError(
                f"video must be grey (B, T, H, W) of at least {MIN_SIZE} pixels, "
                f"got {tuple(grey.shape)}"
            )
        x = F.pad((grey - self.mean) / self.spread, (0, 0, 0, 0, *(2 * [self.reach_frames])))
        # Five frames as channels: faster on CPUs than the 3-D convolution. Not channels last:
        # torch 2.11 then corrupts memory in training, see AvstVisualEncoder.
        starts = range(STEM_FRAMES)
        x = torch.stack([x[:, k : k + grey.shape[1]] for k in starts], dim=2).flatten(0, 1)
        if lengths is None:
            return rearrange(self._tokens(x), "(b t) c -> b t c", b=len(grey))
        valid = torch.arange(grey.shape[1], device=grey.device) < lengths[:, None]
        tokens = self._tokens(x[valid.flatten()])
        return tokens.new_zeros(*valid.shape, tokens.shape[1]).index_put((valid,), tokens)

    def _tokens(self, x: Tensor) -> Tensor:
        """Map stacked frames `(N, 5, H, W)` to tokens `(N, channels[-1])`."""
        x = F.conv2d(x, self.stem.weight[:, 0], stride=2, padding=3)
        x = self.trunk(self.pool(self.stem_act(self.stem_norm(x))))
        return reduce(x, "n c h w -> n c", "mean")


class PreluBlock(nn.Module):
    """ResNet block with PReLU activations.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: stride of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(in_channels, out_channels, 3, stride),
            nn.BatchNorm2d(out_channels),
            nn.PReLU(out_channels),
            _convolution(out_channels, out_channels, 3),
            nn.BatchNorm2d(out_channels),
        )
        self.past: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            shortcut = _convolution(in_channels, out_channels, 1, stride)
            self.past = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))
        self.act = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H / stride, W / stride)`."""
        out: Tensor = self.act(self.layers(x) + self.past(x))
        return out


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
