import math

import pytest
import torch

from avsync.tasks.sync.syncnet import SyncNetConfig, build_syncnet
from avsync.timing import SAMPLE_RATE

pytestmark = pytest.mark.arithmetic

TINY = SyncNetConfig(lip_channels=(2, 3, 4), mfcc_channels=(2, 3, 4, 4, 5), dim=6)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_syncnet(TINY).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 2 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_windows_of_a_clip_are_columns_of_its_mfcc(tiny, wav):
    mfcc, features = tiny.front_end(wav), tiny.window_features(wav, 45)
    assert features.shape == (2, 45, 13, 20)
    for k in (0, 1, 44):
        torch.testing.assert_close(features[:, k], mfcc[..., 4 * k : 4 * k + 20])


@torch.no_grad()
def test_audio_cut_around_a_window_gives_the_clips_own_embeddings(tiny, wav):
    frames = torch.tensor([1, 2, 17, 40])
    cut = tiny.encode_audio(wav, frames / 25)
    whole = tiny.encode_features(tiny.window_features(wav, 45).flatten(0, 1))
    assert cut.shape == (2, 4, 6)
    torch.testing.assert_close(cut, whole.unflatten(0, (2, 45))[:, frames])


def test_a_window_has_twenty_columns(tiny):
    spec = tiny.spec
    samples = round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    assert samples == 1 + 19 * 160 + 400


def test_the_score_is_minus_the_distance(tiny):
    video = torch.tensor([[3.0, 4, 0, 0, 0, 0]])
    expected = torch.tensor([-5.0])
    torch.testing.assert_close(tiny.compare(video, torch.zeros(1, 6)), expected)
    # Upstream adds 1e-6 to every difference, which is then the distance of equal embeddings.
    assert tiny.compare(video, video).item() == pytest.approx(-1e-6 * math.sqrt(6), rel=1e-3)


@torch.no_grad()
def test_forward_takes_single_windows_alone(tiny):
    mfcc = 10 * torch.randn(2, 13, 20)
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, 5, H, W\), got \(1, 3, 6"):
        tiny(torch.rand(1, 3, 6, 224, 224), mfcc)


def test_autocast_leaves_the_comparison_precise(tiny):
    video, audio = torch.rand(4, 6), torch.rand(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        scores = tiny.compare(video, audio)
    torch.testing.assert_close(scores, tiny.compare(video, audio))
