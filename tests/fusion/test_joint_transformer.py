import pytest
import torch
from torch import nn

from avsync.fusion.joint_transformer import JointTransformer

pytestmark = pytest.mark.arithmetic

B, T, L, D = 3, 5, 4, 16


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    module = JointTransformer(T, L, D, depth=3, heads=4).double().eval()
    for parameter in module.parameters():  # biases too, so that none can be forgotten
        nn.init.normal_(parameter, std=0.3)
    return module


@pytest.fixture
def streams():
    g = torch.Generator().manual_seed(1)
    return tuple(torch.randn(B, n, D, generator=g, dtype=torch.float64) for n in (T, L))


def test_it_equals_torchs_encoder_on_cls_audio_and_video(transformer, streams):
    video, audio = streams
    video = video + transformer.video_places + transformer.video_stream
    audio = audio + transformer.audio_places + transformer.audio_stream
    x = torch.cat([transformer.cls.expand(B, 1, D), audio, video], dim=1)
    for layer in transformer.layers:
        x = torch_layer(layer)(x)
    torch.testing.assert_close(transformer(*streams), transformer.norm(x)[:, 0])


def test_streams_and_positions_are_distinguished(transformer, streams):
    video, audio = streams
    expected = transformer(video, audio)
    assert not torch.allclose(transformer(video.flip(1), audio), expected)
    assert not torch.allclose(transformer(video, audio.flip(1)), expected)
    swapped = torch.cat([audio, video[:, :1]], dim=1), video[:, 1:]
    assert not torch.allclose(transformer(*swapped), expected)


def test_batch_items_do_not_mix(transformer, streams):
    alone = [transformer(v[None], a[None])[0] for v, a in zip(*streams, strict=True)]
    torch.testing.assert_close(transformer(*streams), torch.stack(alone))


def test_dropout_is_active_in_training_only(transformer, streams):
    torch.testing.assert_close(transformer(*streams), transformer(*streams))
    transformer.train()
    assert not torch.allclose(transformer(*streams), transformer(*streams))


def test_tokens_of_another_number_or_width_are_named(transformer, streams):
    video, audio = streams
    with pytest.raises(ValueError, match=r"must be \(B, 5, 16\) and \(B, 4, 16\), got \(3, 4, 16"):
        transformer(video[:, 1:], audio)
    with pytest.raises(ValueError, match=r"got \(3, 5, 16\) and \(2, 4, 16\)"):
        transformer(video, audio[1:])


@pytest.mark.parametrize("sizes", [{"heads": 3}, {"depth": 0}])
def test_invalid_sizes_are_named(sizes):
    with pytest.raises(ValueError, match="depth must be 1 or more and heads must divide dim, got"):
        JointTransformer(T, L, D, **{"heads": 4, **sizes})


def torch_layer(layer):
    reference = nn.TransformerEncoderLayer(
        D, 4, 2 * D, activation="gelu", batch_first=True, norm_first=True
    )
    reference = reference.double().eval()
    attention = reference.self_attn
    weights = torch.cat([layer.queries.weight, layer.keys_values.weight])
    attention.in_proj_weight = nn.Parameter(weights)
    nn.init.zeros_(attention.in_proj_bias)
    attention.out_proj = layer.out_proj
    reference.linear1, reference.linear2 = layer.fc1, layer.fc2
    reference.norm1, reference.norm2 = layer.attention_norm, layer.ffn_norm
    return reference
