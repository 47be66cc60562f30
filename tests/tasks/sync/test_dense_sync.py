import pytest
import torch

from avsync.tasks.sync.dense_sync import DenseSyncConfig, build_dense_sync

pytestmark = pytest.mark.arithmetic

SMALL = dict(dim=16, mouth_channels=(4, 8, 8, 16), mel_channels=(4, 8, 8, 8, 16), n_mels=32)


def model(**changes):
    torch.manual_seed(0)
    return build_dense_sync(DenseSyncConfig(**{**SMALL, "crop_size": 40, **changes})).eval()


@pytest.fixture
def wav():
    return torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))


def test_default_is_under_five_million_parameters():
    assert sum(p.numel() for p in build_dense_sync(DenseSyncConfig()).parameters()) < 5_000_000


def test_every_window_has_an_embedding_of_bounded_length():
    net = model()
    video = net.encode_video(torch.rand(2, 3, 11, 40, 40))
    assert video.shape == (2, 7, 16)
    assert (video.norm(dim=-1) < net.max_weight).all()


def test_audio_embeddings_have_unit_length(wav):
    audio = model().encode_audio(wav, torch.arange(0, 0.6, 0.01))
    torch.testing.assert_close(audio.norm(dim=-1), torch.ones(1, 60))


@pytest.mark.parametrize("zero_ms", [-40.0, 30.0])
def test_zero_ms_shifts_the_audio_of_a_window(wav, zero_ms):
    starts_s = torch.tensor([0.3, 0.5])
    moved = model(zero_ms=zero_ms).encode_audio(wav, starts_s)
    torch.testing.assert_close(moved, model().encode_audio(wav, starts_s + zero_ms / 1000))


def test_scores_are_the_highest_where_embeddings_agree():
    net = model()
    embeddings = torch.nn.functional.normalize(torch.randn(5, 16), dim=-1)
    scores = net.compare(3 * embeddings, embeddings)
    torch.testing.assert_close(scores, torch.full((5,), 3.0))
    assert (net.compare(3 * embeddings, embeddings.roll(1, 0)) < 3).all()


def test_windows_outside_the_audio_are_refused(wav):
    with pytest.raises(ValueError, match=r"inside wav of 1\.000 s, got 0\.000 to 0\.900"):
        model().encode_audio(wav, torch.tensor([0.0, 0.9]))
    with pytest.raises(ValueError, match="starts_s must leave each window's audio"):
        model(zero_ms=-40).encode_audio(wav, torch.tensor([0.0]))
