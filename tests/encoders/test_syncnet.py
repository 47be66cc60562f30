import pytest
import torch

from avsync.encoders.syncnet import SyncNetVisualEncoder


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return SyncNetVisualEncoder(channels=(2, 3, 4), dim=6).eval()


@pytest.fixture
def frames():
    return torch.rand(2, 3, 8, 224, 224, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_tokens_are_those_of_their_five_frames_alone(encoder, frames):
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


def test_it_can_be_trained(encoder, frames):
    # Batch statistics, activations in place: gradients must reach the first layer.
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


def test_crops_too_small_for_the_poolings_are_refused():
    with pytest.raises(ValueError, match="size must be 64 or more pixels, got 63"):
        SyncNetVisualEncoder(size=63)
