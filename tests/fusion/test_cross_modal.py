import math

import pytest
import torch
from golden.float64 import FLOAT64_ONLY, float64_throughout
from torch import nn

from avsync.fusion.cross_modal import (
    Attention,
    CrossModalTransformer,
    KeysValues,
    SinusoidalPositions,
    ZeroChannelPositions,
    band_mask,
    capture_attention,
    folded_attention,
    sinusoidal_positions,
)

pytestmark = pytest.mark.arithmetic

B, Q, K, D = 3, 12, 5, 16


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    module = CrossModalTransformer(D, depth=3, heads=4).double().eval()
    for parameter in module.parameters():  # biases too, so that none can be forgotten
        nn.init.normal_(parameter, std=0.3)
    return module


@pytest.fixture
def streams():
    g = torch.Generator().manual_seed(1)
    return (torch.randn(B, n, D, generator=g, dtype=torch.float64).relu() for n in (Q, K))


def test_attention_equals_that_of_torch(transformer, streams):
    queries, context = streams
    mask = band_mask(Q, K, queries)
    with float64_throughout():
        x, context_x = transformer.embed(queries), transformer.embed(context)
    for layer in transformer.layers:
        reference = nn.MultiheadAttention(D, layer.heads, batch_first=True).double()
        reference.in_proj_weight, reference.in_proj_bias = layer.in_proj.weight, layer.in_proj.bias
        reference.out_proj = layer.out_proj
        norm = layer.attention_norm
        attended, _ = reference(norm(x), norm(context_x), norm(context_x), attn_mask=mask)
        x = layer.feed_forward(x + attended)
    expected = transformer.norm(x)
    # Ours computes the softmax and the positions in float32, which another test is about.
    with float64_throughout():
        got = transformer(queries, context, mask)
    torch.testing.assert_close(got, expected, atol=FLOAT64_ONLY, rtol=0)
    assert not torch.allclose(got, transformer(queries, context.flip(0), mask), atol=1e-3)


def test_folded_attention_gives_the_same_tokens(transformer, streams):
    queries, context = streams
    x, cache = transformer.embed(queries), transformer.keys_values(transformer.embed(context))
    with float64_throughout():
        folded, expected = folded_attention(transformer, x, cache), transformer.attend(x, cache)
    torch.testing.assert_close(folded, expected, atol=FLOAT64_ONLY, rtol=0)


def test_softmax_and_positions_are_float32_in_a_float64_model():
    # Float32 cannot tell these logits apart.
    logits = torch.tensor([[1.0, 1 + 2**-30]], dtype=torch.float64)
    values = torch.eye(2, dtype=torch.float64)
    assert Attention()(logits, values).tolist() == [[0.5, 0.5]]
    assert sinusoidal_positions(3, D).dtype == torch.float32


def test_keys_and_values_of_one_context_serve_many_queries(transformer, streams):
    queries, context = streams
    cache = transformer.keys_values(transformer.embed(context[:1]))
    assert isinstance(cache, KeysValues) and cache.keys.shape == (1, 3, 4, K, D // 4)
    together = transformer.attend(transformer.embed(queries), cache)
    expected = transformer(queries, context[:1].expand(B, -1, -1))
    torch.testing.assert_close(together, expected)


def test_batch_items_do_not_mix(transformer, streams):
    queries, context = streams
    alone = [transformer(q[None], c[None])[0] for q, c in zip(queries, context, strict=True)]
    torch.testing.assert_close(transformer(queries, context), torch.stack(alone))


def test_a_masked_key_does_not_matter(transformer, streams):
    queries, context = streams
    mask = torch.zeros(Q, K, dtype=torch.float64)
    mask[:, 3] = -torch.inf
    other = context.clone()
    other[:, 3] += 1
    torch.testing.assert_close(
        transformer(queries, context, mask), transformer(queries, other, mask)
    )
    assert not torch.allclose(transformer(queries, context), transformer(queries, other))


def test_the_band_mask_masks_keys_well_after_the_query():
    like = torch.zeros(1)
    assert (band_mask(16, 5, like) == 0).all()
    assert (band_mask(5, 16, like)[0] == -torch.inf).nonzero()[:, 0].tolist() == [12, 13, 14, 15]
    assert (band_mask(5, 16, like)[4] == 0).all()
    causal = torch.full((4, 4), -torch.inf).triu(1)
    torch.testing.assert_close(band_mask(4, 4, like), causal)


def test_dropout_differs_between_keys_and_values():
    torch.manual_seed(0)
    transformer = CrossModalTransformer(D, depth=1, heads=2, embed_dropout=0.5).train()
    calls = []
    layer = transformer.layers[0]
    keys_values = layer.keys_values
    layer.keys_values = lambda k, v: calls.append((k, v)) or keys_values(k, v)
    transformer(torch.randn(1, Q, D), torch.randn(1, K, D))
    (for_keys, for_values), *_ = calls
    assert not torch.equal(for_keys == 0, for_values == 0)


def test_linear_layers_have_xavier_weights_and_zero_biases():
    layer = CrossModalTransformer(64, depth=1).layers[0]
    for linear in (layer.in_proj, layer.out_proj, layer.fc1, layer.fc2):
        rows, columns = linear.weight.shape
        assert linear.weight.abs().max() <= math.sqrt(6 / (rows + columns)) + 1e-6
        assert linear.weight.std().item() == pytest.approx(math.sqrt(2 / (rows + columns)), rel=0.1)
        assert (linear.bias == 0).all()


def test_positions_are_sines_then_cosines_from_position_one():
    table = sinusoidal_positions(3, 6)
    rates = [1.0, 10000**-0.5, 10000**-1.0]
    for step in range(3):
        expected = [math.sin((step + 1) * r) for r in rates]
        expected += [math.cos((step + 1) * r) for r in rates]
        torch.testing.assert_close(table[step], torch.tensor(expected), atol=1e-6, rtol=1e-5)
    assert (sinusoidal_positions(3, 7)[:, -1] == 0).all()


def test_a_step_whose_channel_0_is_zero_has_no_position():
    tokens = torch.ones(2, 4, D)
    tokens[0, 1, 0] = 0
    positions = ZeroChannelPositions()(tokens)
    assert (positions[0, 1] == 0).all()
    # The steps after it keep their own positions.
    torch.testing.assert_close(positions[0, 2:], sinusoidal_positions(4, D)[2:])
    torch.testing.assert_close(positions[1], sinusoidal_positions(4, D))
    torch.testing.assert_close(SinusoidalPositions()(tokens), sinusoidal_positions(4, D))


def test_position_embeddings_can_be_replaced(streams):
    queries, context = streams
    queries[:, :, 0] = 0
    torch.manual_seed(0)
    plain = CrossModalTransformer(D, depth=1, positions=SinusoidalPositions()).double().eval()
    torch.manual_seed(0)
    quirk = CrossModalTransformer(D, depth=1).double().eval()
    assert not torch.allclose(plain(queries, context), quirk(queries, context), atol=1e-3)


def test_heads_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="heads must divide dim, got 3 heads for dim 16"):
        CrossModalTransformer(D, heads=3)


@pytest.fixture
def hooked():
    torch.manual_seed(0)
    return CrossModalTransformer(D, depth=2, heads=4).eval()


@pytest.fixture
def pair():
    g = torch.Generator().manual_seed(1)
    return torch.randn(B, 6, D, generator=g), torch.randn(B, K, D, generator=g)


def test_captured_attention_is_the_attention_used(hooked, pair):
    with capture_attention(hooked) as captured:
        hooked(*pair, band_mask(6, K, pair[0]))
    first, second = captured
    layer, x = hooked.layers[0], hooked.embed(pair[0])
    context = hooked.embed(pair[1])
    torch.testing.assert_close(first.values, layer.keys_values(context, context)[1])
    heads = first.logits.softmax(-1) @ first.values
    joined = heads.transpose(1, 2).flatten(2)
    after = layer.feed_forward(x + layer.out_proj(joined))
    keys, values = hooked.layers[1].keys_values(context, context)
    logits = hooked.layers[1].logits(hooked.layers[1].attention_norm(after), keys)
    torch.testing.assert_close(second.logits, logits + band_mask(6, K, logits))
    torch.testing.assert_close(second.values, values)


def test_captured_logits_are_masked(hooked, pair):
    queries, context = pair
    with capture_attention(hooked) as captured:
        hooked(queries, context.repeat(1, 3, 1), band_mask(6, 3 * K, queries))
    masked = captured[0].logits == -torch.inf
    assert masked[0, 0].sum(1).tolist() == [5, 4, 3, 2, 1, 0]


def test_capturing_changes_no_output_and_leaves_no_hooks(hooked, pair):
    before = hooked(*pair)
    with capture_attention(hooked) as captured:
        torch.testing.assert_close(hooked(*pair), before, atol=0, rtol=0)
    hooked(*pair)
    assert len(captured) == 2
    assert not any(module._forward_pre_hooks for module in hooked.modules())


def test_gradients_flow_through_captured_attention(hooked, pair):
    with capture_attention(hooked) as captured:
        hooked(*pair)
    (captured[1].logits.sum() + captured[1].values.sum()).backward()
    assert hooked.layers[0].fc1.weight.grad.abs().sum() > 0


def test_a_failed_pass_leaves_no_hooks(hooked, pair):
    with pytest.raises(RuntimeError), capture_attention(hooked):
        hooked(pair[0][..., :-1], pair[1])
    assert not any(module._forward_pre_hooks for module in hooked.modules())
