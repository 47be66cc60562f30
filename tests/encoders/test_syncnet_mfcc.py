import pytest
import torch
from torch import nn

from avsync.encoders.syncnet import SyncNetAudioEncoder


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return SyncNetAudioEncoder(channels=(2, 3, 4, 4, 5), dim=6).eval()


@torch.no_grad()
def test_windows_become_tokens_each_on_its_own():
    torch.manual_seed(0)
    encoder = SyncNetAudioEncoder(channels=(2, 3, 4, 4, 5), dim=6).eval()
    mfcc = 10 * torch.randn(3, 13, 20)
    tokens = encoder(mfcc)
    assert tokens.shape == (3, 6)
    torch.testing.assert_close(tokens, torch.cat([encoder(window[None]) for window in mfcc]))
    features = encoder.features(mfcc)
    assert features.shape == (3, 5) and (features >= 0).all()
    torch.testing.assert_close(encoder.head(features), tokens)


@pytest.mark.parametrize("shape", [(1, 13, 19), (1, 20, 13), (1, 1, 13, 20)])
def test_windows_of_another_shape_are_named(shape):
    encoder = SyncNetAudioEncoder(channels=(2, 3, 4, 4, 5), dim=6)
    with pytest.raises(ValueError, match=r"mfcc must be \(B, 13, 20\), got"):
        encoder(torch.zeros(shape))


@torch.no_grad()
@pytest.mark.parametrize(("columns", "tokens"), [(19, 1), (20, 1), (22, 1), (23, 2), (59, 11)])
def test_a_clip_has_a_token_for_every_fourth_column(tiny, columns, tokens):
    assert tiny.dense(torch.zeros(2, 13, columns)).shape == (2, tokens, 6)


@torch.no_grad()
def test_a_dense_token_sees_its_window_and_eight_columns_beside_it():
    torch.manual_seed(0)
    encoder = SyncNetAudioEncoder(channels=(8, 8, 8, 8, 8), dim=4).eval()
    mfcc, place = 10 * torch.randn(4, 13, 80), 5
    token = encoder.dense(mfcc)[:, place]
    others = (encoder.dense(changed(mfcc, column))[:, place] for column in range(80))
    seen = [column for column, other in enumerate(others) if not torch.equal(other, token)]
    first = encoder.dense_step * place - encoder.dense_context
    assert seen == list(range(first, first + 2 * encoder.dense_context + encoder.dense_columns))


@torch.no_grad()
def test_dense_tokens_are_those_of_the_window_where_it_is_all_there_is(tiny):
    mfcc = 10 * torch.randn(3, 13, 20)
    torch.testing.assert_close(tiny.dense(mfcc), tiny(mfcc)[:, None])


@torch.no_grad()
def test_the_head_is_a_convolution_of_width_one(tiny):
    linear = tiny.head[3]
    conv = nn.Conv1d(5, 6, 1)
    conv.weight.copy_(linear.weight[..., None])
    conv.bias.copy_(linear.bias)
    # Over (B, C, T) a batch norm counts every token, as over (B T, C).
    published = nn.Sequential(nn.Conv1d(5, 5, 1), tiny.head[1], nn.ReLU(), conv).train()
    published[0].weight.copy_(tiny.head[0].weight[..., None])
    published[0].bias.copy_(tiny.head[0].bias)
    mfcc = 10 * torch.randn(2, 13, 60)
    tiny.train()
    features = tiny.blocks(mfcc[:, None])[:, :, 0]
    torch.testing.assert_close(tiny.dense(mfcc).mT, published(features))


def test_a_clip_too_short_for_a_token_is_named(tiny):
    with pytest.raises(ValueError, match=r"mfcc must be \(B, 13, S >= 19\), got \(1, 13, 18\)"):
        tiny.dense(torch.zeros(1, 13, 18))


def changed(mfcc, column):
    other = mfcc.clone()
    other[..., column] += 100
    return other
