"""Attention of many queries to few keys, with the projections folded into the keys and values.

A query is projected only to be compared with keys, and a value only to be projected again: with few
keys it costs less to carry the keys back through the query projection, and the values forward
through the output projection. Same numbers, but for rounding; inference only.
"""

import torch
from einops import einsum, rearrange
from torch import Tensor

from avsync.fusion.cross_modal import CrossModalLayer, CrossModalTransformer, KeysValues


def attend_few(transformer: CrossModalTransformer, x: Tensor, cache: KeysValues) -> Tensor:
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
