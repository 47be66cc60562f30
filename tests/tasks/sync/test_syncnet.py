import math

import pytest
import torch

from avsync.tasks.sync.syncnet import LIP_WINDOWS, SyncNetConfig, build
from avsync.timing import SAMPLE_RATE

TINY = SyncNetConfig(lip_channels=(2, 3, 4), mfcc_channels=(2, 3, 4, 4, 5), dim=6)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build(TINY).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 2 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_clip_longer_than_a_block_is_encoded_window_by_window(tiny):
    frames = torch.rand(1, 3, LIP_WINDOWS + 7, 224, 224)
    entries = tiny.encode_video(frames)
    assert entries.shape == (1, LIP_WINDOWS + 3, 6)
    torch.testing.assert_close(entries, tiny.visual(frames))


@torch.no_grad()
def test_windows_of_a_clip_are_columns_of_its_mfcc(tiny, wav):
    mfcc, features = tiny.front_end(wav), tiny.window_features(wav, 45)
    assert features.shape == (2, 45, 13, 20)
    for k in (0, 1, 44):
        torch.testing.assert_close(features[:, k], mfcc[..., 4 * k : 4 * k + 20])


@torch.no_grad()
def test_sound_cut_around_a_window_gives_the_clips_own_entries(tiny, wav):
    frames = torch.tensor([1, 2, 17, 40])
    cut = tiny.encode_audio(wav, frames / 25)
    whole = tiny.encode_features(tiny.window_features(wav, 45).flatten(0, 1))
    assert cut.shape == (2, 4, 6)
    torch.testing.assert_close(cut, whole.unflatten(0, (2, 45))[:, frames])


@torch.no_grad()
def test_entries_belong_to_their_start_wherever_the_sound_was_cut(tiny, wav):
    # 7001 samples: no whole number of columns.
    starts_s = torch.tensor([0.5, 0.731])
    later = tiny.encode_audio(wav[:, 7001:], starts_s - 7001 / SAMPLE_RATE)
    torch.testing.assert_close(later, tiny.encode_audio(wav, starts_s))


@torch.no_grad()
def test_a_window_needs_exactly_the_sound_it_declares(tiny):
    spec = tiny.spec
    samples = round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    start_s = torch.tensor([-spec.audio_from_s])
    assert samples == 1 + 19 * 160 + 400
    assert tiny.encode_audio(torch.zeros(1, samples), start_s).shape == (1, 1, 6)
    with pytest.raises(ValueError, match="starts_s must leave each window's audio"):
        tiny.encode_audio(torch.zeros(1, samples - 1), start_s)


def test_the_score_is_minus_the_distance(tiny):
    video = torch.tensor([[3.0, 4, 0, 0, 0, 0]])
    expected = torch.tensor([-5.0])
    torch.testing.assert_close(tiny.compare(video, torch.zeros(1, 6)), expected)
    # Upstream adds a millionth to every difference, so entries that agree are that far apart.
    assert tiny.compare(video, video).item() == pytest.approx(-1e-6 * math.sqrt(6), rel=1e-3)


def test_leading_axes_broadcast(tiny):
    video, audio = torch.randn(4, 1, 6), torch.randn(4, 7, 6)
    scores = tiny.compare(video, audio)
    assert scores.shape == (4, 7)
    torch.testing.assert_close(scores[2], tiny.compare(video[2].expand(7, 6), audio[2]))


@torch.no_grad()
def test_forward_scores_windows(tiny):
    frames, mfcc = torch.rand(2, 3, 5, 224, 224), 10 * torch.randn(2, 13, 20)
    video, audio = tiny.encode_video(frames)[:, 0], tiny.encode_features(mfcc)
    torch.testing.assert_close(tiny(frames, mfcc), tiny.compare(video, audio))
    torch.testing.assert_close(tiny(frames, mfcc[:, None]), tiny(frames, mfcc))
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, 5, H, W\), got \(1, 3, 6"):
        tiny(torch.rand(1, 3, 6, 224, 224), mfcc)


@torch.no_grad()
def test_half_precision_weights_take_float32_sound_and_give_precise_scores(tiny, wav):
    torch.manual_seed(0)
    half = build(TINY).eval().bfloat16()
    audio = half.encode_audio(wav, torch.tensor([0.2]))
    assert audio.dtype == torch.bfloat16
    expected = tiny.encode_audio(wav, torch.tensor([0.2]))
    torch.testing.assert_close(audio.float(), expected, atol=0.05, rtol=0.05)
    video = half.encode_video(torch.rand(2, 3, 5, 224, 224).bfloat16())
    assert half.compare(video, audio).dtype == torch.float32


def test_autocast_leaves_the_comparison_precise(tiny):
    video, audio = torch.rand(4, 6), torch.rand(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        scores = tiny.compare(video, audio)
    torch.testing.assert_close(scores, tiny.compare(video, audio))


def test_all_work_stays_on_the_device_of_the_input():
    # A tensor left on the CPU cannot meet one of the meta device.
    with torch.device("meta"):
        model = build(TINY)
        frames, wav = torch.rand(2, 3, 6, 224, 224), torch.rand(2, SAMPLE_RATE)
    video = model.encode_video(frames)
    audio = model.encode_audio(wav, torch.tensor([0.2, 0.4]))
    windows = model.encode_features(model.window_features(wav, 2).flatten(0, 1))
    assert model.compare(video, audio).device.type == windows.device.type == "meta"


def test_a_clip_shorter_than_its_windows_is_named(tiny):
    with pytest.raises(ValueError, match=r"wav must hold 30 windows of 5 frames, got 1.000 s"):
        tiny.window_features(torch.zeros(1, SAMPLE_RATE), 30)
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, 224, 224\), got"):
        tiny.encode_video(torch.zeros(1, 3, 4, 224, 224))
