import pytest
import torch

from avsync.tasks.sync.perfect_match import LIP_WINDOWS, PerfectMatchConfig, build_perfect_match
from avsync.tasks.sync.syncnet import SyncNetConfig, build_syncnet
from avsync.timing import SAMPLE_RATE

pytestmark = pytest.mark.arithmetic

SIZES = dict(lip_channels=(2, 3, 4), mfcc_channels=(2, 3, 4, 4, 5), dim=6, size=64, crop="face")
TINY = PerfectMatchConfig(**SIZES)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_perfect_match(TINY).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, 2 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))


def test_it_has_the_papers_parameters_and_takes_the_weights_of_syncnet(tiny):
    with torch.device("meta"):
        assert (
            sum(p.numel() for p in build_perfect_match(PerfectMatchConfig()).parameters())
            == 13_631_616
        )
    build_perfect_match(TINY).load_state_dict(
        build_syncnet(SyncNetConfig(**SIZES)).state_dict(), strict=True
    )


@torch.no_grad()
def test_embeddings_have_unit_length_and_long_clips_are_encoded_in_blocks(tiny, wav):
    frames = torch.rand(1, 3, LIP_WINDOWS + 7, 64, 64)
    embeddings = tiny.encode_video(frames)
    assert embeddings.shape == (1, LIP_WINDOWS + 3, 6)
    torch.testing.assert_close(
        embeddings, torch.nn.functional.normalize(tiny.visual(frames), dim=-1)
    )
    audio = tiny.encode_audio(wav, torch.tensor([0.2, 0.4, 1.0]))
    torch.testing.assert_close(audio.norm(dim=-1), torch.ones(2, 3))


@torch.no_grad()
def test_training_takes_statistics_of_the_whole_batch():
    torch.manual_seed(0)
    model, frames = build_perfect_match(TINY), torch.rand(2, 3, LIP_WINDOWS + 7, 64, 64)
    expected = torch.nn.functional.normalize(model.visual(frames), dim=-1)
    torch.testing.assert_close(model.encode_video(frames), expected)


def test_a_window_depends_on_thirty_five_columns(tiny):
    spec = tiny.spec
    samples = round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    assert samples == 1 + 34 * 160 + 400


def test_scores_are_cosines_and_leading_axes_broadcast(tiny):
    embeddings = torch.nn.functional.normalize(torch.randn(4, 6), dim=-1)
    torch.testing.assert_close(tiny.compare(embeddings, embeddings), torch.ones(4))
    torch.testing.assert_close(
        tiny.compare(embeddings[:, None], embeddings[None]), embeddings @ embeddings.mT
    )
