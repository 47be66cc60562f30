import pytest
import torch

from avsync.tasks.sync.perfect_match import LIP_WINDOWS, PerfectMatchConfig, build
from avsync.tasks.sync.syncnet import SyncNetConfig
from avsync.tasks.sync.syncnet import build as build_syncnet
from avsync.timing import SAMPLE_RATE

SIZES = dict(lip_channels=(2, 3, 4), mfcc_channels=(2, 3, 4, 4, 5), dim=6, size=64, crop="face")
TINY = PerfectMatchConfig(**SIZES)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build(TINY).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 2 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))


def test_it_has_the_papers_parameters_and_takes_the_weights_of_syncnet(tiny):
    with torch.device("meta"):
        assert sum(p.numel() for p in build(PerfectMatchConfig()).parameters()) == 13_631_616
    build(TINY).load_state_dict(build_syncnet(SyncNetConfig(**SIZES)).state_dict(), strict=True)


@torch.no_grad()
def test_entries_have_length_one_and_long_clips_are_encoded_in_blocks(tiny, wav):
    frames = torch.rand(1, 3, LIP_WINDOWS + 7, 64, 64)
    entries = tiny.encode_video(frames)
    assert entries.shape == (1, LIP_WINDOWS + 3, 6)
    torch.testing.assert_close(entries, torch.nn.functional.normalize(tiny.visual(frames), dim=-1))
    audio = tiny.encode_audio(wav, torch.tensor([0.2, 0.4, 1.0]))
    torch.testing.assert_close(audio.norm(dim=-1), torch.ones(2, 3))


@torch.no_grad()
def test_training_takes_statistics_of_the_whole_batch():
    torch.manual_seed(0)
    model, frames = build(TINY), torch.rand(2, 3, LIP_WINDOWS + 7, 64, 64)
    expected = torch.nn.functional.normalize(model.visual(frames), dim=-1)
    torch.testing.assert_close(model.encode_video(frames), expected)


@torch.no_grad()
def test_entries_belong_to_their_start_in_any_order_and_between_frames(tiny, wav):
    starts_s = torch.tensor([0.92, 0.40, 0.41, 0.43, 0.96, 0.40])
    together = tiny.encode_audio(wav, starts_s)
    for place, start_s in enumerate(starts_s):
        torch.testing.assert_close(tiny.encode_audio(wav, start_s[None])[:, 0], together[:, place])
    assert not torch.allclose(together[:, 1], together[:, 2], atol=1e-4, rtol=0)


@torch.no_grad()
def test_entries_belong_to_their_start_wherever_the_sound_was_cut(tiny, wav):
    starts_s = torch.tensor([0.6, 0.83])
    # 7040 samples: whole hops, but no whole number of frames.
    later = tiny.encode_audio(wav[:, 7040:], starts_s - 7040 / SAMPLE_RATE)
    torch.testing.assert_close(later, tiny.encode_audio(wav, starts_s))


@torch.no_grad()
def test_a_window_needs_exactly_the_sound_it_declares(tiny):
    spec = tiny.spec
    samples = round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    start_s = torch.tensor([-spec.audio_from_s])
    assert samples == 1 + 34 * 160 + 400
    assert tiny.encode_audio(torch.zeros(1, samples), start_s).shape == (1, 1, 6)
    for wav, at in ((samples - 1, start_s), (samples, start_s - 0.01), (samples, start_s[:0])):
        with pytest.raises(ValueError, match="starts_s must leave each window's audio"):
            tiny.encode_audio(torch.zeros(1, wav), at)


@torch.no_grad()
def test_what_a_window_does_not_declare_does_not_matter(tiny, wav):
    start_s, spec = torch.tensor([1.0]), tiny.spec
    other = torch.randn_like(wav)
    low = round((1 + spec.audio_from_s) * SAMPLE_RATE)
    high = round((1 + spec.audio_until_s) * SAMPLE_RATE)
    other[:, low:high] = wav[:, low:high]
    torch.testing.assert_close(tiny.encode_audio(other, start_s), tiny.encode_audio(wav, start_s))


def test_scores_are_cosines_and_leading_axes_broadcast(tiny):
    entries = torch.nn.functional.normalize(torch.randn(4, 6), dim=-1)
    torch.testing.assert_close(tiny.compare(entries, entries), torch.ones(4))
    torch.testing.assert_close(tiny.compare(entries[:, None], entries[None]), entries @ entries.mT)


def test_gradients_reach_both_streams(wav):
    torch.manual_seed(0)
    model = build(TINY)
    video = model.encode_video(torch.rand(2, 3, 8, 64, 64))
    audio = model.encode_audio(wav, 0.4 + torch.arange(4) / 25)
    model.compare(video[:, :, None], audio[:, None]).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@torch.no_grad()
def test_half_precision_weights_take_float32_sound_and_give_precise_scores(tiny, wav):
    torch.manual_seed(0)
    half = build(TINY).eval().bfloat16()
    audio = half.encode_audio(wav, torch.tensor([0.2]))
    assert audio.dtype == torch.bfloat16
    expected = tiny.encode_audio(wav, torch.tensor([0.2]))
    torch.testing.assert_close(audio.float(), expected, atol=0.05, rtol=0.05)
    assert half.compare(audio, audio).dtype == torch.float32


def test_all_work_stays_on_the_device_of_the_input():
    # A tensor left on the CPU cannot meet one of the meta device.
    with torch.device("meta"):
        model = build(TINY)
        frames, wav = torch.rand(2, 3, 6, 64, 64), torch.rand(2, SAMPLE_RATE)
    video = model.encode_video(frames)
    audio = model.encode_audio(wav, torch.tensor([0.2, 0.42]))
    assert model.compare(video, audio).device.type == "meta"
