import pytest
import torch

from avsync.encoders.dense_sync import DenseSyncVisualEncoder
from avsync.tasks.separation.ynet_variants import (
    YNetDenseConfig,
    YNetGConfig,
    YNetMConfig,
    YNetSConfig,
    YNetVConfig,
    build_ynet_dense,
    build_ynet_g,
    build_ynet_m,
    build_ynet_s,
    build_ynet_v,
)

pytestmark = pytest.mark.arithmetic

CHANNELS = (2, 2, 3, 3, 4, 4)
VISUAL = (2, 2, 3, 4, 6)
SAMPLES = 16383


def tiny_v(frozen=True):
    torch.manual_seed(0)
    return build_ynet_v(YNetVConfig(CHANNELS, VISUAL, seconds=1, frozen=frozen))


FAMILY = {
    "m": lambda: build_ynet_m(YNetMConfig(CHANNELS, (2, 4), seconds=1)),
    "v": tiny_v,
    "s": lambda: build_ynet_s(YNetSConfig(CHANNELS, VISUAL, seconds=1)),
    "dense": lambda: build_ynet_dense(YNetDenseConfig(CHANNELS, 6, (2, 2, 2, 2), 48, seconds=1)),
}


def face(model, frames=25, batch=1):
    spec = model.spec
    g = torch.Generator().manual_seed(1)
    return torch.rand(batch, 3, frames, spec.height, spec.width, generator=g)


def mixture(batch=1):
    return 0.1 * torch.randn(batch, SAMPLES, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("build", "config", "trainable", "whole"),
    [
        (build_ynet_m, YNetMConfig(), 11_327_490, 11_327_490),
        (build_ynet_g, YNetGConfig(), 9_654_994, 9_654_994),
        (build_ynet_v, YNetVConfig(), 8_362_050, 46_970_498),
        (build_ynet_v, YNetVConfig(frozen=False), 46_970_498, 46_970_498),
    ],
)
def test_it_has_the_published_number_of_parameters(build, config, trainable, whole):
    with torch.device("meta"):
        parameters = list(build(config).parameters())
    assert sum(p.numel() for p in parameters) == whole
    assert sum(p.numel() for p in parameters if p.requires_grad) == trainable


@pytest.mark.parametrize("name", FAMILY)
@torch.no_grad()
def test_every_visual_encoder_gives_a_token_per_frame_and_a_voice(name):
    model = FAMILY[name]().eval()
    tokens = model.encode_video(face(model))
    assert tokens.shape == (1, model.spec.frames, model.token_dim)
    assert model.separate(mixture(), tokens).shape == (1, SAMPLES)


def test_a_frozen_visual_encoder_stays_unchanged_in_training():
    model = tiny_v().train()
    before = {k: v.clone() for k, v in model.visual.state_dict().items()}
    model.encode_video(face(model))
    assert model.unet.training and not any(m.training for m in model.visual.modules())
    torch.testing.assert_close(model.visual.state_dict(), before, rtol=0, atol=0)


def test_a_frozen_visual_encoder_has_no_gradient_and_the_rest_has():
    model = tiny_v().train()
    model(model.stft(mixture()), model.encode_video(face(model))).square().sum().backward()
    assert all(p.grad is None for p in model.visual.parameters())
    assert all(p.grad is not None for p in model.film.parameters())
    assert all(p.grad is not None for p in model.unet.parameters())


def test_the_visual_encoder_is_trained_end_to_end():
    model = tiny_v(frozen=False).train()
    assert model.visual.training
    model(model.stft(mixture()), model.encode_video(face(model))).square().sum().backward()
    assert all(p.grad is not None for p in model.visual.parameters())


@torch.no_grad()
def test_a_token_of_landmarks_is_for_eight_frames():
    model = build_ynet_g(YNetGConfig(CHANNELS, (2, 2, 3, 3, 4, 4, 6, 6), seconds=1)).eval()
    assert model.spec.uses_video and model.spec.crop is None
    tokens = model.encode_video(48 + torch.randn(1, 2, 25, 68))
    assert tokens.shape == (1, 4, 6)
    assert model.separate(mixture(), tokens).shape == (1, SAMPLES)


def test_the_visual_encoder_of_a_trained_model_can_be_passed_in():
    mouth = DenseSyncVisualEncoder(6, (2, 2, 2, 2))
    model = build_ynet_dense(YNetDenseConfig(CHANNELS, 6, (2, 2, 2, 2), 48, seconds=1), mouth)
    assert model.visual.encoder is mouth


@torch.no_grad()
def test_vocalists_visual_encoder_may_encode_windows_as_in_its_training():
    whole = tiny_v().eval()
    config = YNetVConfig(CHANNELS, VISUAL, window_frames=5, seconds=1)
    model = build_ynet_v(config, whole.visual).eval()
    frames = face(model)
    tokens = model.encode_video(frames)
    assert tokens.shape == (1, 25, 6)
    torch.testing.assert_close(tokens[:, 12], whole.visual(frames[:, :, 10:15])[:, 2])
    torch.testing.assert_close(tokens[:, 0], tokens[:, 2])
    assert (tokens[:, 12] - whole.encode_video(frames)[:, 12]).abs().max() > 0


def test_under_autocast_the_mask_is_nearly_the_same():
    model = tiny_v(frozen=False).eval()
    spectrum, frames = model.stft(mixture()), face(model)
    with torch.no_grad():
        exact = model(spectrum, model.encode_video(frames))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(spectrum, model.encode_video(frames))
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), exact, atol=0.02, rtol=0.05)
    logits.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@torch.no_grad()
def test_tokens_in_half_precision_give_the_same_voice():
    model = tiny_v().eval()
    tokens = model.encode_video(face(model))
    voices = [model.separate(mixture(), version) for version in (tokens, tokens.half())]
    torch.testing.assert_close(*voices, atol=1e-4, rtol=0)
