from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from avsync.tasks.separation.lip_mask import LipMaskConfig, build_lip_mask
from avsync.timing import SAMPLES_PER_FRAME

pytestmark = pytest.mark.arithmetic

TINY = LipMaskConfig(
    dim=6,
    mouth_channels=(4, 4, 4, 4),
    crop_size=48,
    widths=(4, 5, 6, 4, 3),
    joined_dim=8,
    dilations=(1, 2),
    seconds=1,
)
FRAMES = 25
SAMPLES = FRAMES * SAMPLES_PER_FRAME


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    model = build_lip_mask(TINY).eval()
    # The output of a fresh network hardly depends on the lips.
    for layer, factor in ((model.joined.out, 20), (model.unet.head, 200)):
        layer.weight.data.mul_(factor)
    return model


def mixture(batch=1, samples=SAMPLES):
    return torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))


def lips(batch=1, frames=FRAMES, seed=2):
    tokens = torch.randn(batch, frames, 6, generator=torch.Generator().manual_seed(seed))
    return F.normalize(tokens, dim=-1)


def test_it_has_at_most_three_million_parameters():
    with torch.device("meta"):
        model = build_lip_mask(LipMaskConfig())
    assert sum(p.numel() for p in model.parameters()) <= 3_000_000


def test_the_spec_has_the_configured_chunk_and_crop(tiny):
    spec = tiny.spec
    assert (spec.samples, spec.frames, spec.sample_rate) == (16000, 25, 16000)
    assert (spec.crop, spec.height, spec.width) == ("mouth", 48, 48)


@torch.no_grad()
def test_every_frame_has_a_token_of_unit_length(tiny):
    tokens = tiny.encode_video(torch.rand(2, 3, FRAMES, 48, 48))
    assert tokens.shape == (2, FRAMES, 6)
    torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, FRAMES))


@torch.no_grad()
def test_an_untrained_network_gives_half_of_the_mixture():
    model = build_lip_mask(TINY).eval()
    error = (model.separate(mixture(), lips()) - mixture() / 2).square().mean()
    assert error < 0.01
    model.unet.head.weight.zero_()
    torch.testing.assert_close(model.separate(mixture(), lips()), mixture() / 2, atol=1e-5, rtol=0)


@torch.no_grad()
def test_loudness_does_not_matter(tiny):
    soft = tiny.separate(1e-3 * mixture(), lips())
    torch.testing.assert_close(1e3 * soft, tiny.separate(mixture(), lips()), atol=1e-4, rtol=0)


@torch.no_grad()
def test_silence_stays_silence(tiny):
    assert tiny.separate(torch.zeros(1, SAMPLES), lips()).abs().max() < 1e-6


@torch.no_grad()
def test_another_face_gives_another_voice(tiny):
    one, other = (tiny.separate(mixture(), lips(seed=seed)) for seed in (2, 3))
    assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_faces_of_a_mixture_are_separated_as_each_alone(tiny):
    faces = torch.stack([lips(2, seed=2), lips(2, seed=3)], dim=1)
    voices = tiny(mixture(2), faces)
    alone = [
        tiny.separate(mixture(2)[i : i + 1], faces[i : i + 1, v]) for i in (0, 1) for v in (0, 1)
    ]
    torch.testing.assert_close(voices.flatten(0, 1), torch.cat(alone), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES - 1, SAMPLES - 639, 3 * SAMPLES + 77])
def test_any_length_is_separated(tiny, samples):
    frames = -(-samples // SAMPLES_PER_FRAME)
    assert tiny.separate(mixture(1, samples), lips(1, frames)).shape == (1, samples)


@torch.no_grad()
def test_lips_change_the_voice_at_their_own_time(tiny):
    tiny = deepcopy(tiny)
    # Random kernels are lopsided: make them symmetric.
    for module in tiny.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.weight += module.weight.flip(-1)
    frames = torch.arange(6, 19)
    changed = lips().repeat(len(frames), 1, 1)
    changed[torch.arange(len(frames)), frames] *= -1
    moved = tiny.separate(mixture().repeat(len(frames), 1), changed) - tiny.separate(
        mixture(), lips()
    )
    energy = moved.double().square()
    middle = (energy * torch.arange(SAMPLES)).sum(1) / energy.sum(1)
    late = middle / SAMPLES_PER_FRAME - (frames + 0.5)
    # A tenth of a frame is 4 ms; the error of a frame depends on the audio around it.
    assert abs(late.mean()) < 0.2 and late.abs().max() < 1


def test_the_visual_encoder_is_frozen_and_all_else_is_trained():
    model = build_lip_mask(TINY).train()
    assert not any(module.training for module in model.visual.modules())
    tokens = model.encode_video(torch.rand(1, 3, FRAMES, 48, 48))
    model.separate(mixture(), tokens).square().sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {n for n, _ in model.named_parameters() if not n.startswith("visual.")}


@torch.no_grad()
def test_batch_norms_aside_it_is_the_same_in_bfloat16_to_its_precision(tiny):
    exact = tiny.separate(mixture(), lips())
    with torch.autocast("cpu", torch.bfloat16):
        coarse = tiny.separate(mixture(), lips())
    assert coarse.dtype == torch.float32
    assert (coarse - exact).square().mean() < 1e-3 * exact.square().mean()


def test_lips_of_another_time_are_refused(tiny):
    with pytest.raises(ValueError, match="tokens must be of 25 frames, got 20"):
        tiny.separate(mixture(), lips(frames=20))
    with pytest.raises(ValueError, match=r"tokens must be \(2, V, T, D\), got \(1, 1, 25, 6\)"):
        tiny.separate(mixture(2), lips())
