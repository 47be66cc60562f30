import copy

import pytest
import torch
from torch import nn

import avsync
from avsync.tasks import SyncFeatures
from avsync.tasks.features import audio_of_windows, default_layer, embed_nothing
from avsync.tasks.registry import create_model
from avsync.timing import SAMPLES_PER_FRAME

FRAMES = 12
DENSE = {"dim": 8, "mouth_channels": [4, 4, 4, 8], "mel_channels": [4, 4, 4, 8, 8]}
# Its embeddings are tokens, keys and values, so its features are the outputs of its encoders.
VOCALIST = {"channels": (4, 4, 8, 8, 8), "depth": 1}
CONFIGS = {"dense_sync": DENSE, "vocalist": VOCALIST}


@pytest.fixture(params=CONFIGS)
def features(request):
    torch.manual_seed(0)
    return create_model(request.param, config=CONFIGS[request.param], features_only=True).eval()


def clip_of(features, batch=2, frames=FRAMES):
    g = torch.Generator().manual_seed(1)
    spec = features.spec
    video = torch.rand(batch, 3, frames, spec.height, spec.width, generator=g)
    return video, 0.1 * torch.randn(batch, frames * SAMPLES_PER_FRAME, generator=g)


def test_25_frames_give_21_vectors_of_each_stream_though_their_audio_gives_fewer():
    features = create_model("dense_sync", pretrained=True, features_only=True)
    assert features.num_features == 128 and not features.training
    frames, wav = clip_of(features, 1, 25)
    with torch.no_grad():
        video, audio, times_s = features(frames, wav)
    assert video.shape == audio.shape == (1, 21, 128)
    with pytest.raises(ValueError, match="starts_s must leave each window's audio"):
        features.model.encode_audio(wav, torch.arange(21) / 25)
    # The middle of frame 2, which is shown from 80 to 120 ms, and that of the last but two.
    torch.testing.assert_close(times_s[[0, -1]], torch.tensor([0.1, 0.9]))


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(features):
    frames, wav = clip_of(features)
    both, alone = features(frames, wav), features(frames[1:], wav[1:])
    torch.testing.assert_close(both.video[1:], alone.video, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.audio[1:], alone.audio, atol=1e-5, rtol=1e-5)
    assert (both.audio[0] - both.audio[1]).abs().max() > 1e-4


@torch.no_grad()
def test_audio_beyond_the_clip_is_context_and_missing_audio_is_silence(features):
    frames, wav = clip_of(features)
    tail = wav[:, -500:]
    longer = features(frames, torch.cat([wav, tail], 1)).audio
    cut = features(frames, wav[:, :-500]).audio
    silent = features(frames, torch.cat([wav[:, :-500], 0 * tail], 1)).audio
    torch.testing.assert_close(cut, silent)
    expected = features(frames, wav).audio
    for other in (longer, cut):
        torch.testing.assert_close(other[:, :4], expected[:, :4])
    assert (cut[:, -1] - expected[:, -1]).abs().max() > 1e-6


def test_gradients_flow_to_weights_and_inputs(features):
    frames, wav = (tensor.requires_grad_() for tensor in clip_of(features))
    video, audio, _ = features(frames, wav)
    (video.square().sum() + audio.square().sum()).backward()
    assert frames.grad.abs().sum() > 0 and wav.grad.abs().sum() > 0
    names = ("mouth", "mel") if hasattr(features.model, "mouth") else ("visual", "audio")
    for name in names:
        grads = [weight.grad for weight in getattr(features.model, name).parameters()]
        assert sum(grad is not None and bool(grad.any()) for grad in grads) > len(grads) / 2


def test_frozen_weights_get_no_gradients(features):
    features.requires_grad_(False)
    video, audio, _ = features(*clip_of(features))
    assert not video.requires_grad and not audio.requires_grad


@pytest.mark.parametrize("name", CONFIGS)
def test_building_the_features_changes_neither_statistics_nor_mode(name):
    torch.manual_seed(0)
    model = create_model(name, config=CONFIGS[name]).train()
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    norm.eval()
    before = copy.deepcopy(model.state_dict())
    features = SyncFeatures(model)
    assert features.training and model.training and not norm.training
    torch.testing.assert_close(model.state_dict(), before, atol=0, rtol=0)
    assert not SyncFeatures(model.eval()).training


@pytest.mark.parametrize("name", CONFIGS)
def test_a_copy_and_loaded_weights_give_the_same_vectors(name):
    one, other = (
        create_model(name, config=CONFIGS[name], features_only=True).eval() for _ in range(2)
    )
    clip = clip_of(one)
    with torch.no_grad():
        expected = one(*clip)
        assert not torch.equal(other(*clip).video, expected.video)
        other.load_state_dict(one.state_dict())
        for again in (other, copy.deepcopy(one)):
            torch.testing.assert_close(again(*clip), expected, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, w: (f, w[:, :-1281]), r"last as long as the frames, N = 7680 within 1280, got"),
        (lambda f, w: (f, w.repeat(1, 3)), r"got wav \(2, 23040\) and frames \(2, 3, 12, "),
        (
            lambda f, w: (f[:1], w),
            r"wav must be \(B, N\) for frames \(B, 3, T, H, W\), got wav \(2",
        ),
        (lambda f, w: (f[0], w[0]), r"wav must be \(B, N\) for frames"),
        (lambda f, w: (f[:, :, :4], w[:, : 4 * 640]), r"frames must be \(B, 3, T >= 5"),
    ],
    ids=["short", "other rate", "batch", "no batch", "no window"],
)
def test_a_clip_whose_streams_do_not_fit_is_refused_with_its_shapes(change, message):
    features = create_model("dense_sync", config=DENSE, features_only=True)
    with pytest.raises(ValueError, match=message):
        features(*change(*clip_of(features)))


def test_only_sync_models_have_features():
    with pytest.raises(
        ValueError, match="features_only takes a sync model, unet is for separation"
    ):
        avsync.create_model("unet", features_only=True)


def test_streams_of_unequal_width_are_refused():
    model = create_model("dense_sync", config=DENSE)
    narrow = model.encode_audio
    model.encode_audio = lambda wav, starts_s: narrow(wav, starts_s)[..., :5]
    with pytest.raises(ValueError, match="got 8 of video and 5 of audio: take one stream with"):
        SyncFeatures(model)


def test_embeddings_that_are_no_vectors_are_replaced_by_the_encoders_tokens():
    model = create_model("vocalist", config=VOCALIST)
    assert default_layer(model, "video") == "visual" and default_layer(model, "audio") == "audio"
    assert embed_nothing(model, "audio", "audio").shape == (1, 1, 8)
    assert default_layer(create_model("dense_sync", config=DENSE), "audio") == ""


def test_audio_of_windows_begins_before_the_first_and_ends_after_the_last():
    spec = create_model("vocalist", config=VOCALIST).spec
    need = audio_of_windows(spec, 10, 3)
    # Half a Fourier window of 800 samples before frame 10.
    assert need.begin_s == pytest.approx(0.4 - 400 / 16000)
    torch.testing.assert_close(need.starts_s, 400 / 16000 + torch.arange(3) / 25)
    assert need.end_s == pytest.approx(0.48 + spec.audio_until_s + 1 / 16000)
