"""Joint transformer: the tokens of both streams and a CLS token, all attending to all.

Chen, Xie, Afouras, Nagrani, Vedaldi and Zisserman, Audio-Visual Synchronisation in the Wild (BMVC
2021); the layers are those of ViT (Dosovitskiy et al., ICLR 2021).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class JointTransformer(nn.Module):
    """Tells in one token what the tokens of two streams have to do with each other.

    Each token is told its stream and its place by learnt vectors, so the lengths are fixed.

    Args:
        video_tokens: tokens of video.
        audio_tokens: tokens of audio.
        dim: width of the tokens of both.
        depth: layers.
        heads: attention heads; must divide `dim`.
        ffn_dim: hidden width of the feed-forward layers, 2 `dim` where not given.
        dropout: after each sub-layer and inside the feed-forward one.
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
        self.cls = learnt(1, dim)
        self.video_stream, self.audio_stream = learnt(1, dim), learnt(1, dim)
        self.video_places = learnt(video_tokens, dim)
        self.audio_places = learnt(audio_tokens, dim)
        self.layers = nn.ModuleList(
            JointLayer(dim, heads, ffn_dim or 2 * dim, dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Maps video `(B, T, D)` and audio `(B, L, D)` to the CLS token `(B, D)`."""
        wanted = (self.video_places.shape, self.audio_places.shape)
        if (video.shape[1:], audio.shape[1:]) != wanted or len(video) != len(audio):
            shapes = f"{tuple(video.shape)} and {tuple(audio.shape)}"
            (lips, dim), (voice, _) = wanted
            raise ValueError(
                f"video and audio must be (B, {lips}, {dim}) and (B, {voice}, {dim}), got {shapes}"
            )
        video = video + self.video_places + self.video_stream
        audio = audio + self.audio_places + self.audio_stream
        x = torch.cat([self.cls.expand(len(video), -1, -1), audio, video], dim=1)
        for layer in self.layers[:-1]:
            x = layer(x, x)
        # Of the last layer only the first token is looked at.
        return self.norm(self.layers[-1](x[:, :1], x))[:, 0]


class JointLayer(nn.Module):
    """Attention, then a feed-forward layer, each after a layer norm and added to its input."""

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
        """Maps tokens `(B, L, D)` that attend to a context `(B, K, D)` to tokens `(B, L, D)`."""
        queries = self.queries(self.attention_norm(x))
        keys, values = self.keys_values(self.attention_norm(context)).chunk(2, dim=-1)
        split = (
            rearrange(e, "b l (h d) -> b h l d", h=self.heads) for e in (queries, keys, values)
        )
        attended = rearrange(F.scaled_dot_product_attention(*split), "b h l d -> b l (h d)")
        x = x + self.dropout(self.out_proj(attended))
        hidden = self.dropout(F.gelu(self.fc1(self.ffn_norm(x))))
        out: Tensor = x + self.dropout(self.fc2(hidden))
        return out


def learnt(count: int, dim: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(count, dim), std=0.02))
