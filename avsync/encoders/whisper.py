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
from avsync.weights import PRETRAINED, load

WHISPER_FILE = "whisper_tiny_en_1_layer.safetensors"
WHISPER_SHA256 = "c689c49df13001e540042ad5c723179de25fbf18ccedb989384d7220f0d1fad4"
WHISPER_CONFIG_SHA256 = "8ffe8a5f03014fd939f1c1538e1427da41bee637282c91847a24920c53cba654"


class WhisperEncoder(nn.Module):
    """Speech encoder of Whisper: waveforms to 50 tokens a second.

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


def load_whisper_encoder(weights: str | Path | None = None) -> WhisperEncoder:
    """Load Whisper's encoder in evaluation mode, with frozen weights.

    Args:
        weights: the output of `avsync convert whisper`; None is the shipped file: stem and first
            layer of tiny.en, whose hash is checked.

    Raises:
        RuntimeError: a file is missing, damaged or another one.
    """
    if weights is None:
        checkpoint = load(
            PRETRAINED / WHISPER_FILE, WHISPER_SHA256, True, config_sha256=WHISPER_CONFIG_SHA256
        )
    else:
        checkpoint = load(weights, as_float32=True)
    try:
        with torch.device("meta"):
            encoder = WhisperEncoder(**checkpoint.config)
        encoder.load_state_dict(checkpoint.state_dict, strict=True, assign=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise RuntimeError(f"{weights} holds no Whisper encoder: {error}") from error
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
