"""Whisper's speech encoder, as published: the stem and the first layers, with frozen weights.

Source: Radford, Kim, Xu, Brockman, McLeavey and Sutskever, Robust Speech Recognition via
Large-Scale Weak Supervision (arXiv 2212.04356, 2022).
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.audio.features import WhisperMel
from avsync.hub import weights_path
from avsync.weights import PRETRAINED, load

WHISPER_FILE = "whisper_tiny_en_1_layer.safetensors"
WHISPER_SHA256 = "c689c49df13001e540042ad5c723179de25fbf18ccedb989384d7220f0d1fad4"
# Rows of a banded product that are computed at once, as a product without gaps.
BAND_ROWS = 64
WHISPER_CONFIG_SHA256 = "8ffe8a5f03014fd939f1c1538e1427da41bee637282c91847a24920c53cba654"


class WhisperEncoder(nn.Module):
    """Speech encoder of Whisper: waveforms of 30 s at most to 50 tokens a second.

    Two convolutions, which halve the rate of the mel columns, then transformer layers with
    pre-norm. The final norm of the published encoder is left out, as it belongs to the last of all
    its layers.

    Args:
        layers: number of transformer layers.
        dim: width of the tokens.
        heads: attention heads.
    """

    tokens_per_s = 50
    # The table of positions ends here: 30 s.
    max_tokens = 1500

    def __init__(self, layers: int = 1, dim: int = 384, heads: int = 6) -> None:
        super().__init__()
        if dim % (2 * heads):
            raise ValueError(f"dim must be a multiple of {2 * heads}, got {dim}")
        self.mel = WhisperMel()
        self.conv1 = nn.Conv1d(self.mel.n_mels, dim, 3, padding=1)
        self.conv2 = nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(WhisperLayer(dim, heads) for _ in range(layers))
        # Not a buffer, and never on the meta device: it is not stored with the weights.
        with torch.device("cpu"):
            self.positions = sinusoidal_positions(self.max_tokens, dim)

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms `(B, N)` at 16 kHz, 30 s at most, to tokens `(B, N // 320, dim)`.

        Token k is centred on sample 320 k, and depends on all audio and on k. Whisper itself fills
        the audio up with silence to 30 s; here it may be shorter.
        """
        return self.encode_mel(self.mel(wav))

    def encode_mel(self, mel: Tensor) -> Tensor:
        """Map columns `(B, 80, S)` of `WhisperMel`, 3000 at most, to tokens `(B, S // 2, dim)`."""
        tokens = self.stem(mel)
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens

    def stem(self, mel: Tensor) -> Tensor:
        """Map columns `(B, 80, S)` to the first layer's input `(B, S // 2, dim)`."""
        n_mels, columns = self.mel.n_mels, 2 * self.max_tokens
        if mel.ndim != 3 or mel.shape[1] != n_mels or not 2 <= mel.shape[2] <= columns:
            expected = f"(B, {n_mels}, S) with S from 2 to {columns}"
            raise ValueError(f"mel must be {expected}, got {tuple(mel.shape)}")
        x = F.gelu(self.conv1(mel[..., : mel.shape[2] // 2 * 2]))
        x = rearrange(F.gelu(self.conv2(x)), "b d l -> b l d")
        return x + self.positions[: x.shape[1]].to(x)


class WhisperLayer(nn.Module):
    """Transformer layer with pre-norm; query, key and value are one projection."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        # The published key projection has no bias; here it is 0.
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp_in = nn.Linear(dim, 4 * dim)
        self.mlp_out = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens `(B, L, D)` to tokens `(B, L, D)`."""
        qkv = self.qkv(self.attention_norm(x))
        query, key, value = rearrange(
            qkv, "b l (three heads d) -> three b heads l d", three=3, heads=self.heads
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.finish(x, rearrange(attended, "b heads l d -> b l (heads d)"))

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Map tokens and what they attend to, each `(B, L, D)`, to the layer's tokens."""
        x = x + self.out(attended)
        return x + self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x))))


class LocalWhisperEncoder(nn.Module):
    """Whisper's stem and first layer on a stream: every token has a window of its own.

    Token k is the token in the middle of a window of `2 context_tokens + 1` tokens, which are at
    the same positions for all k. So it depends on a limited neighbourhood only, and neither on
    where the audio was cut nor on its own time: audio that is shifted by 320 samples gives the same
    tokens, one index later. Cost is linear in the length and memory is bounded.

    Positions are a larger part of Whisper's tokens than speech is. Tokens of a whole file or of
    chunks therefore differ with their time, for the same speech; these do not.

    Args:
        encoder: `load_whisper_encoder()`, of one layer: a second one would double the neighbourhood
            and need its own tokens for every window.
        context_tokens: tokens of 20 ms before the middle one, and after it.
        position: index of the middle token in Whisper's table of positions. Tokens differ little
            between 100 and 500.
    """

    hop_samples = 320
    # A token sees two mel columns before its own and two after it, of 160 samples each, and a
    # column 200 samples on either side.
    stem_samples = 520
    # Tokens that are computed at once.
    block_tokens = 1024

    def __init__(
        self, encoder: WhisperEncoder, context_tokens: int = 48, position: int = 300
    ) -> None:
        super().__init__()
        if len(encoder.layers) != 1:
            raise ValueError(f"encoder must have one layer, got {len(encoder.layers)}")
        if not 1 <= context_tokens <= position <= encoder.max_tokens - 1 - context_tokens:
            raise ValueError(
                f"a window of {context_tokens} tokens around position {position} does not lie "
                f"in 0 to {encoder.max_tokens - 1}"
            )
        self.encoder = encoder
        self.context_tokens, self.position = context_tokens, position
        # Samples before a token's own that it depends on, and after it.
        self.margin_samples = self.stem_samples + context_tokens * self.hop_samples

    def forward(self, wav: Tensor) -> Tensor:
        """Map waveforms to tokens without padding.

        Args:
            wav: waveforms `(B, N)` at 16 kHz, N >= 2 margin_samples. For the tokens of a whole file
                pad it with `margin_samples` zeros at both ends.

        Returns:
            Tokens `(B, L, D)`, L = 1 + (N - 2 margin_samples) // 320. Token k is centred on sample
            `margin_samples + 320 k`, and sees samples `[320 k, 320 k + 2 margin_samples)` only.
        """
        seen, hop = 2 * self.margin_samples, self.hop_samples
        if wav.ndim != 2 or wav.shape[1] < seen:
            raise ValueError(f"wav must be (B, N) with N >= {seen}, got {tuple(wav.shape)}")
        count = 1 + (wav.shape[1] - seen) // hop
        blocks = []
        for first in range(0, count, self.block_tokens):
            last = min(first + self.block_tokens, count) - 1
            blocks.append(self._encode(wav[:, first * hop : last * hop + seen]))
        return torch.cat(blocks, 1)

    def _encode(self, wav: Tensor) -> Tensor:
        encoder, layer = self.encoder, self.encoder.layers[0]
        assert isinstance(layer, WhisperLayer)
        x = F.conv1d(encoder.mel.columns(wav), encoder.conv1.weight, encoder.conv1.bias)
        x = F.conv1d(F.gelu(x), encoder.conv2.weight, encoder.conv2.bias, stride=2)
        x = rearrange(F.gelu(x), "b d l -> b l d")
        around = slice(self.position - self.context_tokens, self.position + self.context_tokens + 1)
        positions = encoder.positions[around].to(x)
        middle = x[:, self.context_tokens : x.shape[1] - self.context_tokens]
        middle = middle + positions[self.context_tokens]
        return layer.finish(middle, attend_locally(layer, x, middle, positions))


def attend_locally(layer: WhisperLayer, x: Tensor, middle: Tensor, positions: Tensor) -> Tensor:
    """Attend from every token to the window around it, whose tokens are at fixed positions.

    A token x at position p has the norm `s (g (x' + p')) + b`, where x' and p' are x and p less
    their means and s is one over the standard deviation of x + p; its square is a sum of the
    products of x' and p'. Keys are therefore `s (K x' + K p')` and a part that is equal for all,
    and so are values.

    Args:
        layer: the layer.
        x: tokens `(B, L + W - 1, D)` without positions.
        middle: tokens `(B, L, D)` in the middle of their windows, with positions.
        positions: `(W, D)` of a window.

    Returns:
        What the tokens attend to, `(B, L, D)`.
    """
    norm, heads, width = layer.attention_norm, layer.heads, len(positions)
    x = x - x.mean(-1, keepdim=True)
    positions = positions - positions.mean(-1, keepdim=True)
    squares = x.square().sum(-1, keepdim=True) + positions.square().sum(-1)
    variance = (squares + 2 * x @ positions.mT) / x.shape[-1]
    # Of every window: token i + w at position w.
    scale = (variance + norm.eps).rsqrt().unfold(1, width, 1).diagonal(dim1=-2, dim2=-1)[:, None]
    query_weight, *weights = layer.qkv.weight.chunk(3)
    query_bias, _, value_bias = layer.qkv.bias.chunk(3)
    query = split_heads(F.linear(norm(middle), query_weight, query_bias), heads)
    query = query * query.shape[-1] ** -0.5
    key, value = (split_heads(F.linear(x * norm.weight, weight), heads) for weight in weights)
    key_position, value_position = (
        split_heads(F.linear(positions * norm.weight, weight)[None], heads) for weight in weights
    )
    scores = query @ key_position.mT + banded_product(query, key, width)
    attention = (scores * scale).softmax(-1) * scale
    attended = attention @ value_position + banded_sum(attention, value)
    constant = F.linear(norm.bias, weights[1], value_bias)
    return rearrange(attended, "b heads l d -> b l (heads d)") + constant


def load_whisper_encoder(weights: str | Path | None = None) -> WhisperEncoder:
    """Load Whisper's encoder in evaluation mode, with frozen weights.

    Args:
        weights: the output of `avsync convert whisper`; None is the shipped file: stem and first
            layer of tiny.en, whose hash is checked.

    Raises:
        RuntimeError: a file is missing, damaged or another one.
    """
    path = PRETRAINED / WHISPER_FILE if weights is None else weights_path(weights)
    known = (WHISPER_SHA256, WHISPER_CONFIG_SHA256) if weights is None else (None, None)
    checkpoint = load(path, known[0], as_float32=True, config_sha256=known[1])
    try:
        with torch.device("meta"):
            encoder = WhisperEncoder(**checkpoint.config)
        encoder.load_state_dict(checkpoint.state_dict, strict=True, assign=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise RuntimeError(f"{path} holds no Whisper encoder: {error}") from error
    return encoder.eval().requires_grad_(False)


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Return the position table `(length, dim)` of Whisper: sines, then cosines.

    In float64 and rounded to half precision, it equals the published table exactly; in float32,
    one number in 70 does not.
    """
    steps = math.log(10_000) / (dim // 2 - 1)
    rates = torch.exp(-steps * torch.arange(dim // 2, dtype=torch.float64))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1).half().float()


def split_heads(x: Tensor, heads: int) -> Tensor:
    return rearrange(x, "b l (heads d) -> b heads l d", heads=heads)


def banded_product(query: Tensor, key: Tensor, width: int) -> Tensor:
    """Map `(..., L, D)` and `(..., L + W - 1, D)` to products `(..., L, W)` of i and i + w."""
    blocks = []
    for first in range(0, query.shape[-2], BAND_ROWS):
        rows = query[..., first : first + BAND_ROWS, :]
        columns = key[..., first : first + rows.shape[-2] + width - 1, :]
        blocks.append(band(rows @ columns.mT, width))
    return torch.cat(blocks, -2)


def banded_sum(weight: Tensor, value: Tensor) -> Tensor:
    """Map `(..., L, W)` and `(..., L + W - 1, D)` to sums over w `(..., L, D)` of i + w."""
    blocks, width = [], weight.shape[-1]
    for first in range(0, weight.shape[-2], BAND_ROWS):
        rows = weight[..., first : first + BAND_ROWS, :]
        columns = value[..., first : first + rows.shape[-2] + width - 1, :]
        full = rows.new_zeros(*rows.shape[:-1], columns.shape[-2])
        band(full, width).copy_(rows)
        blocks.append(full @ columns)
    return torch.cat(blocks, -2)


def band(x: Tensor, width: int) -> Tensor:
    """Return a view `(..., L, W)` of `(..., L, L + W - 1)`: columns i to i + W - 1 of row i."""
    return x.unfold(-1, width, 1).diagonal(dim1=-3, dim2=-2).mT
