import pytest
import torch
from torch import nn

from avsync.encoders.syncnet import SyncNetAudioEncoder, SyncNetVisualEncoder

pytestmark = pytest.mark.arithmetic


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return SyncNetVisualEncoder(channels=(2, 3, 4), dim=6).eval()


@pytest.fixture
def frames():
    return torch.rand(2, 3, 8, 224, 224, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_token_depends_on_its_five_frames_only(encoder, frames):
    tokens = encoder(frames)
    assert tokens.shape == (2, 4, 6)
    alone = torch.cat([encoder(frames[:, :, k : k + 5]) for k in range(4)], dim=1)
    torch.testing.assert_close(tokens, alone)


@torch.no_grad()
def test_the_order_of_frames_matters(encoder, frames):
    assert not torch.allclose(encoder(frames), encoder(frames.flip(2)).flip(1), atol=1e-4)


@torch.no_grad()
def test_tokens_are_the_head_of_features(encoder, frames):
    features = encoder.features(frames)
    assert features.shape == (2, 4, 4) and (features >= 0).all()
    torch.testing.assert_close(encoder.head(features.flatten(0, 1)), encoder(frames).flatten(0, 1))


def test_gradients_reach_every_parameter(encoder, frames):
    # With batch statistics and in-place activations gradients must still reach the first layer.
    model = SyncNetVisualEncoder(channels=(2, 3, 4), dim=6)
    model(frames).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 4, 224, 224), (1, 3, 5, 112, 112), (3, 5, 224, 224)])
def test_frames_of_another_shape_are_named(encoder, shape):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, 224, 224\), got"):
        encoder(torch.zeros(shape))


@pytest.mark.parametrize("size", [64, 96, 112, 225])
@torch.no_grad()
def test_crops_of_other_sizes_give_one_token_per_window(size):
    encoder = SyncNetVisualEncoder(channels=(2, 3, 4), dim=6, size=size).eval()
    assert encoder(torch.rand(1, 3, 7, size, size)).shape == (1, 3, 6)
    with pytest.raises(ValueError, match=rf"\(B, 3, T >= 5, {size}, {size}\)"):
        encoder(torch.rand(1, 3, 7, size - 1, size))


def test_crops_too_small_for_the_poolings_are_rejected():
    with pytest.raises(ValueError, match="size must be 64 or more pixels, got 63"):
        SyncNetVisualEncoder(size=63)


@pytest.fixture
def audio_encoder():
    torch.manual_seed(0)
    return SyncNetAudioEncoder(channels=(2, 3, 4, 4, 5), dim=6).eval()


@torch.no_grad()
def test_mfcc_windows_are_encoded_independently():
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
def test_mfcc_windows_of_another_shape_are_named(shape):
    encoder = SyncNetAudioEncoder(channels=(2, 3, 4, 4, 5), dim=6)
    with pytest.raises(ValueError, match=r"mfcc must be \(B, 13, 20\), got"):
        encoder(torch.zeros(shape))


@torch.no_grad()
@pytest.mark.parametrize(("columns", "tokens"), [(19, 1), (20, 1), (22, 1), (23, 2), (59, 11)])
def test_a_clip_has_a_token_for_every_fourth_column(audio_encoder, columns, tokens):
    assert audio_encoder.dense(torch.zeros(2, 13, columns)).shape == (2, tokens, 6)


@torch.no_grad()
def test_a_dense_token_sees_its_window_and_eight_columns_to_either_side():
    torch.manual_seed(0)
    encoder = SyncNetAudioEncoder(channels=(8, 8, 8, 8, 8), dim=4).eval()
    mfcc, index = 10 * torch.randn(4, 13, 80), 5
    token = encoder.dense(mfcc)[:, index]
    others = (encoder.dense(perturb(mfcc, column))[:, index] for column in range(80))
    seen = [column for column, other in enumerate(others) if not torch.equal(other, token)]
    first = encoder.dense_step * index - encoder.dense_context
    assert seen == list(range(first, first + 2 * encoder.dense_context + encoder.dense_columns))


@torch.no_grad()
def test_the_dense_token_of_a_single_window_is_that_of_forward(audio_encoder):
    mfcc = 10 * torch.randn(3, 13, 20)
    torch.testing.assert_close(audio_encoder.dense(mfcc), audio_encoder(mfcc)[:, None])


@torch.no_grad()
def test_the_head_is_a_convolution_of_width_one(audio_encoder):
    linear = audio_encoder.head[3]
    conv = nn.Conv1d(5, 6, 1)
    conv.weight.copy_(linear.weight[..., None])
    conv.bias.copy_(linear.bias)
    # A batch norm over (B, C, T) takes its statistics over all tokens, as one over (B T, C).
    published = nn.Sequential(nn.Conv1d(5, 5, 1), audio_encoder.head[1], nn.ReLU(), conv).train()
    published[0].weight.copy_(audio_encoder.head[0].weight[..., None])
    published[0].bias.copy_(audio_encoder.head[0].bias)
    mfcc = 10 * torch.randn(2, 13, 60)
    audio_encoder.train()
    features = audio_encoder.blocks(mfcc[:, None])[:, :, 0]
    torch.testing.assert_close(audio_encoder.dense(mfcc).mT, published(features))


def test_mfcc_too_short_for_a_token_is_named(audio_encoder):
    with pytest.raises(ValueError, match=r"mfcc must be \(B, 13, S >= 19\), got \(1, 13, 18\)"):
        audio_encoder.dense(torch.zeros(1, 13, 18))


def perturb(mfcc, column):
    other = mfcc.clone()
    other[..., column] += 100
    return other
