import pytest
import torch

from avsync.encoders.dense_sync import DenseSyncAudioEncoder


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return DenseSyncAudioEncoder(dim=12, n_mels=32, channels=(4, 8, 8, 8, 16)).eval()


@pytest.fixture
def mel():
    return torch.randn(2, 32, 60, generator=torch.Generator().manual_seed(0))


def test_a_token_sees_eighteen_columns_and_no_more(encoder, mel):
    changed = mel.clone()
    changed[:, :, 30] += 3
    moved = (encoder(mel) - encoder(changed)).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(13, 31))


def test_a_cut_mel_gives_the_same_tokens(encoder, mel):
    torch.testing.assert_close(encoder(mel[:, :, 7:40]), encoder(mel)[:, 7:23])


def test_wrong_bands_are_named(encoder):
    with pytest.raises(ValueError, match=r"mel must be \(B, 32, S >= 18\), got \(1, 80, 60\)"):
        encoder(torch.randn(1, 80, 60))
    with pytest.raises(ValueError, match="n_mels must be a multiple of 16, got 40"):
        DenseSyncAudioEncoder(n_mels=40)
