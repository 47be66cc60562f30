"""Cross-modal transformer: the tokens of one stream attend to those of the other in every layer.

There is no self-attention: every layer attends to the same embedded context.

Source: Tsai et al., Multimodal Transformer for Unaligned Multimodal Language Sequences (ACL 2019),
as used by VocaLiST (Kadandale et al., Interspeech 2022).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor, nn


class KeysValues(NamedTuple):
    """Keys and values of a context for every layer: `(..., depth, heads, L, D / heads)` each."""

    keys: Tensor
    values: Tensor


class CrossModalTransformer(nn.Module):
    """Transformer in which the tokens of one stream attend to those of another.

    Args:
        dim: width of the tokens of both streams.
        depth: number of layers.
        heads: attention heads; must divide `dim`.
        ffn_dim: hidden width of the feed-forward layers; 4 `dim` if None.
        positions: maps tokens `(..., L, D)` to the position embeddings that are added to them;
            `ZeroChannelPositions`, as in the reference, if None.
        embed_dropout: dropout on the embedded tokens.
        dropout: dropout after each sub-layer and inside the feed-forward layer.
    """

    def __init__(
        self,
        dim: int = 512,
        depth: int = 4,
        heads: int = 8,
        ffn_dim: int | None = None,
        positions: nn.Module | None = None,
        embed_dropout: float = 0.25,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"heads must divide dim, got {heads} heads for dim {dim}")
        self.scale = math.sqrt(dim)
        self.positions = ZeroChannelPositions() if positions is None else positions
        self.embed_dropout = nn.Dropout(embed_dropout)
        self.layers = nn.ModuleList(
            CrossModalLayer(dim, heads, ffn_dim or 4 * dim, dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, queries: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from the queries to the context.

        Args:
            queries: tokens `(..., L, D)`.
            context: tokens `(..., K, D)` of the other stream.
            mask: added to the attention logits, `(L, K)`; see `band_mask`.

        Returns:
            Tokens `(..., L, D)`.
        """
        # Embedded twice: in training, dropout differs between keys and values.
        cache = self.keys_values(self.embed(context), self.embed(context))
        return self.attend(self.embed(queries), cache, mask)

    def embed(self, tokens: Tensor) -> Tensor:
        """Map tokens `(..., L, D)` to scaled tokens with position embeddings `(..., L, D)`."""
        embedded: Tensor = self.embed_dropout(self.scale * tokens + self.positions(tokens))
        return embedded

    def keys_values(self, for_keys: Tensor, for_values: Tensor | None = None) -> KeysValues:
        """Compute the keys and values of all layers from an embedded context `(..., K, D)`."""
        for_values = for_keys if for_values is None else for_values
        pairs = []
        for layer in self.layers:
            assert isinstance(layer, CrossModalLayer)
            pairs.append(layer.keys_values(for_keys, for_values))
        keys, values = (torch.stack(tensors, dim=-4) for tensors in zip(*pairs, strict=True))
        return KeysValues(keys, values)

    def attend(self, x: Tensor, cache: KeysValues, mask: Tensor | None = None) -> Tensor:
        """Map embedded queries `(..., L, D)` to tokens `(..., L, D)`, given keys and values."""
        for i, layer in enumerate(self.layers):
            x = layer(x, cache.keys[..., i, :, :, :], cache.values[..., i, :, :, :], mask)
        return self.norm(x)


class CrossModalLayer(nn.Module):
    """Pre-norm layer: attention to the context, then a feed-forward layer, both residual.

    Queries, keys and values pass the same layer norm.
    """

    def __init__(self, dim: int, heads: int, ffn_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.in_proj = nn.Linear(dim, 3 * dim)
        self.attention = Attention()
        self.out_proj = nn.Linear(dim, dim)
        self.ffn_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, ffn_dim)
        self.fc2 = nn.Linear(ffn_dim, dim)
        self.dropout = nn.Dropout(dropout)
        for linear in (self.in_proj, self.out_proj, self.fc1, self.fc2):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Map `(..., L, D)` to the same shape, attending to `(..., heads, K, D / heads)`."""
        logits = self.logits(self.attention_norm(x), keys)
        attended = self.attention(logits if mask is None else logits + mask, values)
        attended = rearrange(attended, "... h l d -> ... l (h d)")
        return self.feed_forward(x + self.dropout(self.out_proj(attended)))

    def logits(self, x: Tensor, keys: Tensor) -> Tensor:
        """Map normed queries `(..., L, D)` to attention logits `(..., heads, L, K)`."""
        queries = self._split(self._project(x, 0)) * keys.shape[-1] ** -0.5
        return queries @ keys.transpose(-1, -2)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Apply the residual feed-forward sub-layer to `(..., L, D)`."""
        hidden = F.relu(self.fc1(self.ffn_norm(x)), inplace=True)
        out: Tensor = x + self.dropout(self.fc2(self.dropout(hidden)))
        return out

    def keys_values(self, for_keys: Tensor, for_values: Tensor) -> tuple[Tensor, Tensor]:
        """Map an embedded context `(..., K, D)` to keys and values `(..., heads, K, D / heads)`."""
        keys = self._project(self.attention_norm(for_keys), 1)
        values = self._project(self.attention_norm(for_values), 2)
        return self._split(keys), self._split(values)

    def _project(self, x: Tensor, part: int) -> Tensor:
        """Project to queries (part 0), keys (1) or values (2)."""
        weight, bias = self.in_proj.weight.chunk(3)[part], self.in_proj.bias.chunk(3)[part]
        return F.linear(x, weight, bias)

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "... l (h d) -> ... h l d", h=self.heads)


class Attention(nn.Module):
    """Softmax-weighted sum of values, as a module so that hooks can see its inputs.

    See `capture_attention`.
    """

    def forward(self, logits: Tensor, values: Tensor) -> Tensor:
        """Weight values by the softmax of the logits.

        Args:
            logits: attention logits `(..., heads, L, K)`, masked.
            values: values `(..., heads, K, D / heads)`.

        Returns:
            Weighted sums `(..., heads, L, D / heads)`.
        """
        # In float32 whatever the dtype of the values, as in the reference.
        return logits.float().softmax(-1).to(values.dtype) @ values


def band_mask(queries: int, keys: int, like: Tensor) -> Tensor:
    """Return the reference's attention mask: -inf at keys well after the query, else 0.

    Key j is masked for query i if j - i is `1 + |keys - queries|` or more: a causal mask for equal
    lengths. It compares indices, not times.

    Args:
        queries: number of queries L.
        keys: number of keys K.
        like: a tensor of the dtype and device wanted.

    Returns:
        Mask `(queries, keys)` to add to attention logits.
    """
    blocked = torch.ones(queries, keys, dtype=torch.bool, device=like.device)
    blocked = blocked.triu(1 + abs(keys - queries))
    return like.new_zeros(queries, keys).masked_fill(blocked, -torch.inf)


class LayerAttention(NamedTuple):
    """Attention of one layer, with gradients if the pass has them.

    Args:
        logits: masked logits before the softmax, `(..., heads, L, K)`.
        values: values `(..., heads, K, D / heads)`.
    """

    logits: Tensor
    values: Tensor


@contextmanager
def capture_attention(transformer: CrossModalTransformer) -> Iterator[list[LayerAttention]]:
    """Record the attention of every layer with forward hooks, for the duration of a `with` block.

    Each pass through the transformer appends one `LayerAttention` per layer, in order. Outside the
    block nothing is recorded and nothing is slower. `folded_attention` bypasses the attention
    modules, so it records nothing.

    Args:
        transformer: the transformer to watch.

    Yields:
        The list that passes append to.
    """
    captured: list[LayerAttention] = []

    def record(_: nn.Module, arguments: tuple[Tensor, Tensor]) -> None:
        captured.append(LayerAttention(*arguments))

    attentions = [module for module in transformer.modules() if isinstance(module, Attention)]
    hooks = [attention.register_forward_pre_hook(record) for attention in attentions]
    try:
        yield captured
    finally:
        for hook in hooks:
            hook.remove()


def folded_attention(transformer: CrossModalTransformer, x: Tensor, cache: KeysValues) -> Tensor:
    """Attend like `CrossModalTransformer.attend`, faster where many queries share a few keys.

    The projections of queries and outputs are folded into the keys and values. There is no mask and
    no dropout.

    Args:
        transformer: a transformer in eval mode.
        x: embedded queries `(G, R, D)`: G groups of R queries.
        cache: keys and values of each group's context, `(G, depth, heads, K, D / heads)`, with K
            well below R.

    Returns:
        Tokens `(G, R, D)`.
    """
    for i, layer in enumerate(transformer.layers):
        assert isinstance(layer, CrossModalLayer)
        x = _folded_layer_attention(layer, x, cache.keys[:, i], cache.values[:, i])
        x = layer.feed_forward(x)
    return transformer.norm(x)


def _folded_layer_attention(
    layer: CrossModalLayer, x: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    heads, width = layer.heads, keys.shape[-1]
    scaled = keys * width**-0.5
    weight = rearrange(layer.in_proj.weight.chunk(3)[0], "(h e) d -> h e d", h=heads)
    bias = rearrange(layer.in_proj.bias.chunk(3)[0], "(h e) -> h e", h=heads)
    keys = rearrange(einsum(scaled, weight, "g h k e, h e d -> g h k d"), "g h k d -> g d (h k)")
    offset = rearrange(einsum(scaled, bias, "g h k e, h e -> g h k"), "g h k -> g 1 (h k)")
    out = rearrange(layer.out_proj.weight, "d (h e) -> h e d", h=heads)
    values = rearrange(einsum(values, out, "g h k e, h e d -> g h k d"), "g h k d -> g (h k) d")
    logits = torch.baddbmm(offset, layer.attention_norm(x), keys)
    logits = rearrange(logits, "g r (h k) -> g r h k", h=heads)
    weights = logits.float().softmax(-1).to(x.dtype)
    attended = torch.bmm(rearrange(weights, "g r h k -> g r (h k)"), values)
    return x + (attended + layer.out_proj.bias)


class ZeroChannelPositions(nn.Module):
    """Sinusoidal embedding of position t + 1 for step t; zeros where channel 0 is exactly 0.

    The exception is fairseq's rule for padding tokens, which the reference applies to the first
    number of every feature. Tokens after a ReLU are often 0 there, so weights trained with the
    reference expect such steps to have no position.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens `(..., L, D)` to position embeddings `(..., L, D)`."""
        length, dim = tokens.shape[-2:]
        table = sinusoidal_positions(length, dim, tokens.device).to(tokens.dtype)
        return table.masked_fill(tokens[..., :1] == 0, 0)


class SinusoidalPositions(nn.Module):
    """Sinusoidal embedding of position t + 1 for every step t."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens `(..., L, D)` to position embeddings `(L, D)`."""
        length, dim = tokens.shape[-2:]
        return sinusoidal_positions(length, dim, tokens.device).to(tokens.dtype)


def sinusoidal_positions(length: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Return the sinusoidal embeddings `(length, dim)` of positions 1 to length.

    In float32, as in the reference, whatever the dtype of the tokens.
    """
    half = dim // 2
    if half < 2:
        raise ValueError(f"dim must be at least 4, got {dim}")
    # half - 1 and not half, as in fairseq and tensor2tensor.
    rates = torch.exp(torch.arange(half, device=device).float() * -(math.log(10000) / (half - 1)))
    angles = torch.arange(1, length + 1, device=device).float()[:, None] * rates
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    return table if dim % 2 == 0 else torch.cat([table, table.new_zeros(length, 1)], dim=1)
