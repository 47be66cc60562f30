"""Joint transformer: self-attention over a CLS token and the tokens of both streams.

Source: Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild
(BMVC 2021); the layers are those of ViT (Dosovitskiy et al., ICLR 2021).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class JointTransformer(nn.Module):
    """Transformer over the tokens of two streams; its output is the CLS token.

    Tokens have learned stream and position embeddings, so the number of tokens is fixed.

    Args:
        video_tokens: number of video tokens.
        audio_tokens: number of audio tokens.
        dim: width of the tokens of both streams.
        depth: number of layers.
        heads: attention heads; must divide `dim`.
        ffn_dim: hidden width of the feed-forward layers; 2 `dim` if None.
        dropout: dropout after each sub-layer and inside the feed-forward layer.
    """

    def __init__(
        self,
        video_tokens: int,
        audio_tokens: int,
        dim: int = 512,
        depth: int = 3,
        heads: int = 8,
        ffn_dim: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if depth < 1 or dim % heads:
            raise ValueError(
                f"depth must be 1 or more and heads must divide dim, got {depth} layers of {heads} "
                f"heads for dim {dim}"
            )
        self.cls = _learned(1, dim)
        self.video_stream, self.audio_stream = _learned(1, dim), _learned(1, dim)
        self.video_places = _learned(video_tokens, dim)
        self.audio_places = _learned(audio_tokens, dim)
        self.layers = nn.ModuleList(
            JointLayer(dim, heads, ffn_dim or 2 * dim, dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map video `(B, T, D)` and audio `(B, L, D)` to the CLS token `(B, D)`."""
        expected = (self.video_places.shape, self.audio_places.shape)
        if (video.shape[1:], audio.shape[1:]) != expected or len(video) != len(audio):
            (frames, dim), (steps, _) = expected
            raise ValueError(
                f"video and audio must be (B, {frames}, {dim}) and (B, {steps}, {dim}), "
                f"got {tuple(video.shape)} and {tuple(audio.shape)}"
            )
        video = video + self.video_places + self.video_stream
        audio = audio + self.audio_places + self.audio_stream
        x = torch.cat([self.cls.expand(len(video), -1, -1), audio, video], dim=1)
        for layer in self.layers[:-1]:
            x = layer(x, x)
        # The last layer computes the CLS token only.
        return self.norm(self.layers[-1](x[:, :1], x))[:, 0]


class JointLayer(nn.Module):
    """Pre-norm transformer layer: attention, then a feed-forward layer, both residual."""

    def __init__(self, dim: int, heads: int, ffn_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.queries = nn.Linear(dim, dim, bias=False)
        self.keys_values = nn.Linear(dim, 2 * dim, bias=False)
        self.out_proj = nn.Linear(dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, ffn_dim)
        self.fc2 = nn.Linear(ffn_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map tokens `(B, L, D)` that attend to a context `(B, K, D)` to tokens `(B, L, D)`."""
        queries = self.queries(self.attention_norm(x))
        keys, values = self.keys_values(self.attention_norm(context)).chunk(2, dim=-1)
        split = (
            rearrange(x, "b l (h d) -> b h l d", h=self.heads) for x in (queries, keys, values)
        )
        attended = rearrange(F.scaled_dot_product_attention(*split), "b h l d -> b l (h d)")
        x = x + self.dropout(self.out_proj(attended))
        hidden = self.dropout(F.gelu(self.fc1(self.ffn_norm(x))))
        out: Tensor = x + self.dropout(self.fc2(hidden))
        return out


def _learned(count: int, dim: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(count, dim), std=0.02))
