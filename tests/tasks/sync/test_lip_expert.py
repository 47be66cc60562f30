import pytest
import torch

from avsync.tasks.sync.lip_expert import LIP_WINDOWS, LipExpertConfig, build
from avsync.timing import SAMPLE_RATE

TINY = LipExpertConfig(channels=(2, 3, 4, 5, 6))


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build(TINY).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 2 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_clip_longer_than_a_block_is_encoded_window_by_window(tiny):
    frames = torch.rand(1, 3, LIP_WINDOWS + 7, 48, 96)
    entries = tiny.encode_video(frames)
    assert entries.shape == (1, LIP_WINDOWS + 3, 6)
    for k in (0, LIP_WINDOWS - 1, LIP_WINDOWS, LIP_WINDOWS + 2):
        alone = tiny.encode_video(frames[:, :, k : k + 5])
        torch.testing.assert_close(entries[:, k], alone[:, 0])


@torch.no_grad()
def test_entries_have_length_one(tiny, wav):
    video = tiny.encode_video(torch.rand(1, 3, 7, 48, 96))
    audio = tiny.encode_audio(wav, torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(video.norm(dim=-1), torch.ones(1, 3))
    torch.testing.assert_close(audio.norm(dim=-1), torch.ones(2, 2))
    scores = tiny.compare(video[0, :2], audio[0])
    assert ((scores >= 0) & (scores <= 1)).all()


@torch.no_grad()
def test_windows_of_a_clip_are_columns_of_its_mel(tiny, wav):
    mel, features = tiny.front_end(wav), tiny.window_features(wav, 45)
    assert features.shape == (2, 45, 80, 16)
    for k in (0, 1, 4, 44):
        first = int(80.0 * (k / 25.0))
        torch.testing.assert_close(features[:, k], mel[..., first : first + 16])


@torch.no_grad()
def test_sound_cut_around_a_window_gives_the_clips_own_entries(tiny, wav):
    # Multiples of 5 frames start on a column; the public evaluation rounds others down.
    frames = torch.tensor([5, 20, 40])
    cut = tiny.encode_audio(wav, frames / 25)
    whole = tiny.encode_features(tiny.window_features(wav, 45).flatten(0, 1))
    assert cut.shape == (2, 3, 6)
    torch.testing.assert_close(cut, whole.unflatten(0, (2, 45))[:, frames], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_entries_belong_to_their_start_wherever_the_sound_was_cut(tiny, wav):
    starts_s = torch.tensor([0.5, 0.731])
    later = tiny.encode_audio(wav[:, 7001:], starts_s - 7001 / SAMPLE_RATE)
    torch.testing.assert_close(later, tiny.encode_audio(wav, starts_s))


@torch.no_grad()
def test_a_window_needs_exactly_the_sound_it_declares(tiny):
    spec = tiny.spec
    samples = round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    start_s = torch.tensor([-spec.audio_from_s])
    assert samples == 1 + 15 * 200 + 800
    assert tiny.encode_audio(torch.zeros(1, samples), start_s).shape == (1, 1, 6)
    with pytest.raises(ValueError, match="starts_s must leave each window's audio"):
        tiny.encode_audio(torch.zeros(1, samples - 1), start_s)


def test_the_score_is_the_cosine_and_leading_axes_broadcast(tiny):
    angles = torch.tensor([0.0, 0.5, 1.5])
    entries = torch.stack([angles.cos(), angles.sin()], -1)
    scores = tiny.compare(entries[:, None], entries)
    torch.testing.assert_close(scores, (angles[:, None] - angles).cos())


@torch.no_grad()
def test_forward_scores_windows(tiny):
    frames, mel = torch.rand(2, 3, 5, 48, 96), torch.randn(2, 80, 16)
    video, audio = tiny.encode_video(frames)[:, 0], tiny.encode_features(mel)
    torch.testing.assert_close(tiny(frames, mel), tiny.compare(video, audio))
    torch.testing.assert_close(tiny(frames, mel[:, None]), tiny(frames, mel))
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, 5, H, W\), got \(1, 3, 6"):
        tiny(torch.rand(1, 3, 6, 48, 96), mel)


@torch.no_grad()
def test_half_precision_weights_take_float32_sound_and_give_precise_scores(tiny, wav):
    torch.manual_seed(0)
    half = build(TINY).eval().bfloat16()
    audio = half.encode_audio(wav, torch.tensor([0.2]))
    assert audio.dtype == torch.bfloat16
    expected = tiny.encode_audio(wav, torch.tensor([0.2]))
    torch.testing.assert_close(audio.float(), expected, atol=0.05, rtol=0.05)
    video = half.encode_video(torch.rand(2, 3, 5, 48, 96).bfloat16())
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
        frames, wav = torch.rand(2, 3, 6, 48, 96), torch.rand(2, SAMPLE_RATE)
    video = model.encode_video(frames)
    audio = model.encode_audio(wav, torch.tensor([0.2, 0.4]))
    windows = model.encode_features(model.window_features(wav, 2).flatten(0, 1))
    assert model.compare(video, audio).device.type == windows.device.type == "meta"


def test_a_clip_shorter_than_its_windows_is_named(tiny):
    with pytest.raises(ValueError, match=r"wav must hold 30 windows of 5 frames, got 1.000 s"):
        tiny.window_features(torch.zeros(1, SAMPLE_RATE), 30)
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 5, 48, 96\), got"):
        tiny.encode_video(torch.zeros(1, 3, 4, 48, 96))


@torch.no_grad()
def test_a_longer_window_has_its_columns(wav):
    model = build(LipExpertConfig(channels=(2, 3, 4, 5, 6), window_frames=25)).eval()
    assert model.window_features(wav, 20).shape == (2, 20, 80, 80)
    video = model.encode_video(torch.rand(1, 3, 30, 48, 96))
    audio = model.encode_audio(wav, torch.tensor([0.1, 0.2]))
    assert video.shape == (1, 6, 6) and audio.shape == (2, 2, 6)
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, 25, H, W\)"):
        model(torch.rand(1, 3, 26, 48, 96), torch.rand(1, 80, 80))
    with pytest.raises(ValueError, match="does not divide"):
        build(LipExpertConfig(window_frames=7))
