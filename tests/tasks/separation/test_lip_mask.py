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
    # A fresh network hardly listens to lips.
    for layer, factor in ((model.joined.out, 20), (model.unet.head, 200)):
        layer.weight.data.mul_(factor)
    return model


def sound(batch=1, samples=SAMPLES):
    return torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))


def lips(batch=1, frames=FRAMES, seed=2):
    tokens = torch.randn(batch, frames, 6, generator=torch.Generator().manual_seed(seed))
    return F.normalize(tokens, dim=-1)


def test_it_is_as_small_as_it_was_meant_to_be():
    with torch.device("meta"):
        model = build_lip_mask(LipMaskConfig())
    assert sum(p.numel() for p in model.parameters()) <= 3_000_000


def test_it_declares_what_it_eats(tiny):
    spec = tiny.spec
    assert (spec.samples, spec.frames, spec.sample_rate) == (16000, 25, 16000)
    assert (spec.crop, spec.height, spec.width) == ("mouth", 48, 48)


@torch.no_grad()
def test_every_frame_has_a_token_of_length_one(tiny):
    tokens = tiny.encode_video(torch.rand(2, 3, FRAMES, 48, 48))
    assert tokens.shape == (2, FRAMES, 6)
    torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, FRAMES))


@torch.no_grad()
def test_a_network_that_knows_nothing_gives_half_of_the_mixture():
    model = build_lip_mask(TINY).eval()
    quiet = (model.separate(sound(), lips()) - sound() / 2).square().mean()
    assert quiet < 0.01
    model.unet.head.weight.zero_()
    torch.testing.assert_close(model.separate(sound(), lips()), sound() / 2, atol=1e-5, rtol=0)


@torch.no_grad()
def test_loudness_does_not_matter(tiny):
    quiet = tiny.separate(1e-3 * sound(), lips())
    torch.testing.assert_close(1e3 * quiet, tiny.separate(sound(), lips()), atol=1e-4, rtol=0)


@torch.no_grad()
def test_silence_stays_silence(tiny):
    assert tiny.separate(torch.zeros(1, SAMPLES), lips()).abs().max() < 1e-6


@torch.no_grad()
def test_another_face_gives_another_voice(tiny):
    one, other = (tiny.separate(sound(), lips(seed=seed)) for seed in (2, 3))
    assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_faces_of_a_mixture_are_separated_as_each_alone(tiny):
    faces = torch.stack([lips(2, seed=2), lips(2, seed=3)], dim=1)
    voices = tiny(sound(2), faces)
    alone = [
        tiny.separate(sound(2)[i : i + 1], faces[i : i + 1, v]) for i in (0, 1) for v in (0, 1)
    ]
    torch.testing.assert_close(voices.flatten(0, 1), torch.cat(alone), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES - 1, SAMPLES - 639, 3 * SAMPLES + 77])
def test_any_length_goes(tiny, samples):
    frames = -(-samples // SAMPLES_PER_FRAME)
    assert tiny.separate(sound(1, samples), lips(1, frames)).shape == (1, samples)


@torch.no_grad()
def test_lips_change_what_is_heard_at_their_own_time(tiny):
    tiny = deepcopy(tiny)
    # Random kernels lean to one side: these do not.
    for module in tiny.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.weight += module.weight.flip(-1)
    frames = torch.arange(6, 19)
    changed = lips().repeat(len(frames), 1, 1)
    changed[torch.arange(len(frames)), frames] *= -1
    moved = tiny.separate(sound().repeat(len(frames), 1), changed) - tiny.separate(sound(), lips())
    energy = moved.double().square()
    middle = (energy * torch.arange(SAMPLES)).sum(1) / energy.sum(1)
    late = middle / SAMPLES_PER_FRAME - (frames + 0.5)
    # A tenth of a frame is 4 ms; what each frame is off depends on what audio streams around it.
    assert abs(late.mean()) < 0.2 and late.abs().max() < 1


def test_the_eyes_do_not_learn_and_all_else_does():
    model = build_lip_mask(TINY).train()
    assert not any(module.training for module in model.visual.modules())
    seen = model.encode_video(torch.rand(1, 3, FRAMES, 48, 48))
    model.separate(sound(), seen).square().sum().backward()
    learns = {name for name, each in model.named_parameters() if each.grad is not None}
    assert learns == {n for n, _ in model.named_parameters() if not n.startswith("visual.")}


@torch.no_grad()
def test_batch_norms_aside_it_is_the_same_in_bfloat16_to_its_precision(tiny):
    seen = tiny.separate(sound(), lips())
    with torch.autocast("cpu", torch.bfloat16):
        coarse = tiny.separate(sound(), lips())
    assert coarse.dtype == torch.float32
    assert (coarse - seen).square().mean() < 1e-3 * seen.square().mean()


def test_lips_of_another_time_are_refused(tiny):
    with pytest.raises(ValueError, match="tokens must be of 25 frames, got 20"):
        tiny.separate(sound(), lips(frames=20))
    with pytest.raises(ValueError, match=r"tokens must be \(2, V, T, D\), got \(1, 1, 25, 6\)"):
        tiny.separate(sound(2), lips())
