import pytest
import torch

from avsync.encoders.syncnet_mfcc import SyncNetMfccEncoder


@torch.no_grad()
def test_windows_become_tokens_each_on_its_own():
    torch.manual_seed(0)
    encoder = SyncNetMfccEncoder(channels=(2, 3, 4, 4, 5), dim=6).eval()
    mfcc = 10 * torch.randn(3, 13, 20)
    tokens = encoder(mfcc)
    assert tokens.shape == (3, 6)
    torch.testing.assert_close(tokens, torch.cat([encoder(window[None]) for window in mfcc]))
    features = encoder.features(mfcc)
    assert features.shape == (3, 5) and (features >= 0).all()
    torch.testing.assert_close(encoder.head(features), tokens)


@pytest.mark.parametrize("shape", [(1, 13, 19), (1, 20, 13), (1, 1, 13, 20)])
def test_windows_of_another_shape_are_named(shape):
    encoder = SyncNetMfccEncoder(channels=(2, 3, 4, 4, 5), dim=6)
    with pytest.raises(ValueError, match=r"mfcc must be \(B, 13, 20\), got"):
        encoder(torch.zeros(shape))
