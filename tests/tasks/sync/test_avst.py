import pytest
import torch

from avsync.tasks.sync.avst import AvstConfig, build_avst
from avsync.timing import SAMPLE_RATE

pytestmark = pytest.mark.arithmetic

SIZES = dict(visual_channels=(2, 3, 4, 8), audio_channels=(2, 3, 4, 4, 8), size=32, heads=2)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_avst(AvstConfig(**SIZES)).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 2 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))


def test_it_has_the_papers_parameters_within_half_a_percent():
    assert sum(p.numel() for p in build_avst(AvstConfig()).parameters()) == pytest.approx(
        42.4e6, rel=5e-3
    )


@torch.no_grad()
@pytest.mark.parametrize("window_frames", [5, 10])
def test_comparing_embeddings_equals_the_forward_pass(wav, window_frames):
    torch.manual_seed(0)
    model = build_avst(AvstConfig(**SIZES, window_frames=window_frames)).eval()
    frames = torch.rand(1, 3, window_frames + 3, 32, 32)
    video = model.encode_video(frames)[0]
    audio = model.encode_audio(wav, torch.tensor([0.0, 0.34, 1.0]))[0]
    table = model.compare(video[:, None], audio[None])
    assert table.shape == (4, 3)
    mel = model.front_end(model.spec.cut_audio(wav, torch.tensor([0.34]))[0])
    for k in range(4):
        window = frames[:, :, k : k + window_frames]
        torch.testing.assert_close(table[k, 1:2], model(window, mel))


@torch.no_grad()
def test_a_window_has_twenty_columns_and_four_tokens(tiny):
    samples = round(tiny.spec.audio_until_s * SAMPLE_RATE)
    assert samples == 19 * 160 + 512 and tiny.spec.audio_from_s == 0
    assert tiny.encode_audio(torch.zeros(1, samples), torch.tensor([0.0])).shape == (1, 1, 4, 8)


@torch.no_grad()
def test_autocast_changes_scores_by_its_rounding_alone(tiny, wav):
    frames, starts_s = torch.rand(1, 3, 5, 32, 32), torch.tensor([0.2])
    full = tiny.compare(tiny.encode_video(frames), tiny.encode_audio(wav[:1], starts_s))
    with torch.autocast("cpu", torch.bfloat16):
        half = tiny.compare(tiny.encode_video(frames), tiny.encode_audio(wav[:1], starts_s))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.05, rtol=0)


def test_streams_of_different_width_are_named():
    with pytest.raises(ValueError, match="must be the same width, got 8 and 9"):
        build_avst(AvstConfig(**{**SIZES, "audio_channels": (2, 3, 4, 4, 9)}))
