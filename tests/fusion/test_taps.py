import pytest
import torch

from avsync.fusion.cross_modal import CrossModalTransformer, band_mask, capture_attention

B, Q, K, D, HEADS = 3, 6, 5, 16, 4


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return CrossModalTransformer(D, depth=2, heads=HEADS).eval()


@pytest.fixture
def streams():
    g = torch.Generator().manual_seed(1)
    return torch.randn(B, Q, D, generator=g), torch.randn(B, K, D, generator=g)


def test_the_attention_seen_is_the_attention_used(transformer, streams):
    with capture_attention(transformer) as seen:
        transformer(*streams, band_mask(Q, K, streams[0]))
    first, second = seen
    layer, x = transformer.layers[0], transformer.embed(streams[0])
    context = transformer.embed(streams[1])
    torch.testing.assert_close(first.values, layer.keys_values(context, context)[1])
    heads = first.logits.softmax(-1) @ first.values
    joined = heads.transpose(1, 2).flatten(2)
    after = layer.feed_forward(x + layer.out_proj(joined))
    keys, values = transformer.layers[1].keys_values(context, context)
    logits = transformer.layers[1].logits(transformer.layers[1].attention_norm(after), keys)
    torch.testing.assert_close(second.logits, logits + band_mask(Q, K, logits))
    torch.testing.assert_close(second.values, values)


def test_masked_keys_are_seen_as_masked(transformer, streams):
    queries, context = streams
    with capture_attention(transformer) as seen:
        transformer(queries, context.repeat(1, 3, 1), band_mask(Q, 3 * K, queries))
    masked = seen[0].logits == -torch.inf
    assert masked[0, 0].sum(1).tolist() == [5, 4, 3, 2, 1, 0]


def test_looking_changes_no_output_and_leaves_no_trace(transformer, streams):
    before = transformer(*streams)
    with capture_attention(transformer) as seen:
        torch.testing.assert_close(transformer(*streams), before, atol=0, rtol=0)
    transformer(*streams)
    assert len(seen) == 2
    assert not any(module._forward_pre_hooks for module in transformer.modules())


def test_gradients_reach_the_model_through_what_is_seen(transformer, streams):
    with capture_attention(transformer) as seen:
        transformer(*streams)
    (seen[1].logits.sum() + seen[1].values.sum()).backward()
    assert transformer.layers[0].fc1.weight.grad.abs().sum() > 0


def test_a_pass_that_fails_leaves_no_trace(transformer, streams):
    with pytest.raises(RuntimeError), capture_attention(transformer):
        transformer(streams[0][..., :-1], streams[1])
    assert not any(module._forward_pre_hooks for module in transformer.modules())
