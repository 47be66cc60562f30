from dataclasses import replace

import pytest
import torch

from avsync.encoders.av_hubert import AvHubertConfig
from avsync.tasks.lipreading.lip_reader import LipReaderConfig
from avsync.tasks.sync.av_syncnet import AvSyncNetConfig, build_av_syncnet
from avsync.timing import SAMPLE_RATE

pytestmark = pytest.mark.arithmetic

ENCODER = AvHubertConfig(12, 2, 2, 16, channels=(3, 4, 5, 6), position_frames=5, dropout=0.0)
TINY = AvSyncNetConfig(LipReaderConfig(ENCODER, 1, crop_size=24), window=5)


@pytest.fixture(params=[0, 3], ids=["plain", "conv"])
def model(request):
    torch.manual_seed(0)
    return build_av_syncnet(replace(TINY, conv_frames=request.param)).eval()


@pytest.fixture
def wav():
    return 0.1 * torch.randn(2, SAMPLE_RATE, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_an_embedding_depends_on_its_window_alone(model):
    frames = torch.rand(1, 3, 14, 24, 24, generator=torch.Generator().manual_seed(0))
    embeddings = model.encode_video(frames)
    assert model.spec.window_frames == 9 and embeddings.shape == (1, 6, 12)
    alone = model.encode_video(frames[:, :, 3:12])
    torch.testing.assert_close(alone[:, 0], embeddings[:, 3], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_embeddings_do_not_depend_on_where_the_waveform_was_cut(model, wav):
    starts_s = torch.tensor([0.3, 0.431])
    later = model.encode_audio(wav[:, 3001:], starts_s - 3001 / SAMPLE_RATE)
    torch.testing.assert_close(later, model.encode_audio(wav, starts_s), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_training_and_inference_encode_the_same_audio(model, wav):
    audio = model.reader.front_end(wav)
    whole = model.encode_fbank(audio)
    # Window k starts at frame k, its tokens two frames later: they are those of audio k + 2.
    starts_s = torch.arange(8) / 25
    cut = model.encode_audio(wav, starts_s)
    torch.testing.assert_close(cut, whole[:, 2:10], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_window_needs_exactly_the_audio_of_its_spec(model):
    spec = model.spec
    samples = round((spec.audio_until_s - spec.audio_from_s) * SAMPLE_RATE)
    start_s = torch.tensor([-spec.audio_from_s])
    assert samples == 1 + 4 * 640 + 880
    assert model.encode_audio(torch.rand(1, samples), start_s).shape == (1, 1, 12)
    with pytest.raises(ValueError, match="starts_s must leave each window's audio"):
        model.encode_audio(torch.zeros(1, samples - 1), start_s)


@torch.no_grad()
def test_scores_are_cosines_over_the_temperature(model):
    video, audio = (
        model.embed_video(torch.randn(2, 5, 12)),
        model.embed_audio(torch.randn(2, 5, 12)),
    )
    torch.testing.assert_close(video.norm(dim=-1), torch.ones(2, 5))
    scores = model.compare(video[:, :, None], audio[:, None])
    assert scores.shape == (2, 5, 5)
    assert scores[1, 2, 3].item() == pytest.approx(
        float(video[1, 2] @ audio[1, 3]) / 0.07, rel=1e-4
    )
    torch.testing.assert_close(model.compare(video, video), torch.full((2, 5), 1 / 0.07))


def test_wrong_windows_and_clips_that_are_too_short_are_named(model):
    with pytest.raises(ValueError, match=r"frames must be \(B, 3, T >= 9, H, W\), got"):
        model.encode_video(torch.zeros(1, 3, 8, 24, 24))
    with pytest.raises(ValueError, match="0 or odd and no longer than window, got 2 of 5"):
        build_av_syncnet(replace(TINY, conv_frames=2))
    with pytest.raises(ValueError, match="got 7 of 5"):
        build_av_syncnet(replace(TINY, conv_frames=7))
