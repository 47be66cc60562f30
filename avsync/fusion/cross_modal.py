"""Cross-modal transformer: one stream asks, the other answers, layer after layer.

Tsai et al., Multimodal Transformer for Unaligned Multimodal Language Sequences (ACL 2019), as used
by VocaLiST (Kadandale et al., Interspeech 2022). There is no self-attention: every layer attends to
the same embedded context.
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
    """Keys and values of every layer, `(..., depth, heads, L, D / heads)`: all that is asked of a
    context.
    """

    keys: Tensor
    values: Tensor


class CrossModalTransformer(nn.Module):
    """Lets the tokens of one stream attend to those of another.

    Args:
        dim: width of the tokens of both streams.
        depth: layers.
        heads: attention heads; must divide `dim`.
        ffn_dim: hidden width of the feed-forward layers, 4 `dim` where not given.
        positions: tokens `(..., L, D)` -> what is added to them; the reference's where not given.
        embed_dropout: on tokens with their positions.
        dropout: after each sub-layer and inside the feed-forward one.
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
        """Maps queries `(..., L, D)` and a context `(..., K, D)` to tokens `(..., L, D)`.

        `mask` `(L, K)` is added to the attention's logits; see `band_mask`.
        """
        # Embedded twice: in training, keys and values drop different numbers.
        cache = self.keys_values(self.embed(context), self.embed(context))
        return self.attend(self.embed(queries), cache, mask)

    def embed(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(..., L, D)` to scaled tokens with positions `(..., L, D)`."""
        embedded: Tensor = self.embed_dropout(self.scale * tokens + self.positions(tokens))
        return embedded

    def keys_values(self, for_keys: Tensor, for_values: Tensor | None = None) -> KeysValues:
        """Maps an embedded context `(..., K, D)` to the keys and values of all layers."""
        for_values = for_keys if for_values is None else for_values
        pairs = []
        for layer in self.layers:
            assert isinstance(layer, CrossModalLayer)
            pairs.append(layer.keys_values(for_keys, for_values))
        keys, values = (torch.stack(each, dim=-4) for each in zip(*pairs, strict=True))
        return KeysValues(keys, values)

    def attend(self, x: Tensor, cache: KeysValues, mask: Tensor | None = None) -> Tensor:
        """Maps embedded queries `(..., L, D)` to tokens `(..., L, D)`, given the context's keys and
        values.
        """
        for i, layer in enumerate(self.layers):
            x = layer(x, cache.keys[..., i, :, :, :], cache.values[..., i, :, :, :], mask)
        return self.norm(x)


class CrossModalLayer(nn.Module):
    """Attention to the context, then a feed-forward layer, each after a layer norm and added to its
    input.

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
        """Maps `(..., L, D)` to the same, given keys and values `(..., heads, K, D / heads)`."""
        logits = self.logits(self.attention_norm(x), keys)
        attended = self.attention(logits if mask is None else logits + mask, values)
        attended = rearrange(attended, "... h l d -> ... l (h d)")
        return self.feed_forward(x + self.dropout(self.out_proj(attended)))

    def logits(self, x: Tensor, keys: Tensor) -> Tensor:
        """Maps normed queries `(..., L, D)` to attention logits `(..., heads, L, K)`."""
        queries = self._split(self._project(x, 0)) * keys.shape[-1] ** -0.5
        return queries @ keys.transpose(-1, -2)

    def feed_forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.fc1(self.ffn_norm(x)), inplace=True)
        out: Tensor = x + self.dropout(self.fc2(self.dropout(hidden)))
        return out

    def keys_values(self, for_keys: Tensor, for_values: Tensor) -> tuple[Tensor, Tensor]:
        """Maps an embedded context `(..., K, D)` to keys and values `(..., heads, K, D/heads)`."""
        keys = self._project(self.attention_norm(for_keys), 1)
        values = self._project(self.attention_norm(for_values), 2)
        return self._split(keys), self._split(values)

    def _project(self, x: Tensor, part: int) -> Tensor:
        """Queries, keys or values: the three thirds of the projection."""
        weight, bias = self.in_proj.weight.chunk(3)[part], self.in_proj.bias.chunk(3)[part]
        return F.linear(x, weight, bias)

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "... l (h d) -> ... h l d", h=self.heads)


class Attention(nn.Module):
    """Weighs values by a softmax; a module, so that what passes it can be seen from outside
    (`fusion.taps`).
    """

    def forward(self, logits: Tensor, values: Tensor) -> Tensor:
        """Maps logits `(..., heads, L, K)` and values `(..., heads, K, D / heads)` to `(..., heads,
        L, D / heads)`.
        """
        # In float32 whatever the dtype of the values, as in the reference.
        return logits.float().softmax(-1).to(values.dtype) @ values


def band_mask(queries: int, keys: int, like: Tensor) -> Tensor:
    """The reference's mask `(queries, keys)`: 0, and -inf where key j lies `1 + |keys - queries|`
    or more after query i.

    Plain causal for equal lengths; by index, not by time.
    """
    blocked = torch.ones(queries, keys, dtype=torch.bool, device=like.device)
    blocked = blocked.triu(1 + abs(keys - queries))
    return like.new_zeros(queries, keys).masked_fill(blocked, -torch.inf)


class Attended(NamedTuple):
    """One layer's attention: masked logits `(..., heads, L, K)`, before their softmax, and values
    `(..., heads, K, D / heads)`. Both carry gradients where the pass does.
    """

    logits: Tensor
    values: Tensor


@contextmanager
def capture_attention(transformer: CrossModalTransformer) -> Iterator[list[Attended]]:
    """Within it, each pass through the transformer adds the attention of every layer to the list,
    the first layer first. Outside of it nothing is kept, and nothing costs anything.

    `folded_attention` folds attention away and adds nothing.
    """
    seen: list[Attended] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, Tensor]) -> None:
        seen.append(Attended(*arguments))

    attentions = [module for module in transformer.modules() if isinstance(module, Attention)]
    hooks = [attention.register_forward_pre_hook(keep) for attention in attentions]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def folded_attention(transformer: CrossModalTransformer, x: Tensor, cache: KeysValues) -> Tensor:
    """Maps embedded queries `(G, R, D)` to tokens `(G, R, D)`; no mask, no dropout.

    Args:
        transformer: in eval mode.
        x: G groups of R queries.
        cache: the keys and values of each group's context, `(G, depth, heads, K, D / heads)`, K
            well below R.
    """
    for i, layer in enumerate(transformer.layers):
        assert isinstance(layer, CrossModalLayer)
        x = _attention(layer, x, cache.keys[:, i], cache.values[:, i])
        x = layer.feed_forward(x)
    return transformer.norm(x)


def _attention(layer: CrossModalLayer, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
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
    """The vector of position t + 1 for step t, and none where channel 0 of the step is exactly 0.

    The exception is fairseq's rule for padding tokens, which the reference applies to the first
    number of every feature. Tokens after a ReLU are often 0 there, so that weights trained with the
    reference know such steps without a position.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(..., L, D)` to position vectors `(..., L, D)`."""
        table = sinusoids(tokens.shape[-2], tokens.shape[-1], tokens.device).to(tokens.dtype)
        return table.masked_fill(tokens[..., :1] == 0, 0)


class Positions(nn.Module):
    """The vector of position t + 1 for every step t."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `(..., L, D)` to position vectors `(L, D)`."""
        return sinusoids(tokens.shape[-2], tokens.shape[-1], tokens.device).to(tokens.dtype)


def sinusoids(length: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Position vectors `(length, dim)` of positions 1 to length.

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
