import math

import pytest
import torch

from avsync.tasks.separation.unet import UNetConfig, build_unet
from avsync.tasks.separation.ynet_variants import YNetVConfig, build_ynet_v
from avsync.training.steps.mask import MaskStep, mask_chance

pytestmark = pytest.mark.arithmetic

THIN = (2, 2, 2, 3, 3, 3)
SAMPLES = 16383


def sources(seed=0, second=True):
    """Second voices, accompaniments and targets `(2, N)`."""
    draws = torch.Generator().manual_seed(seed)
    found = [0.1 * torch.randn(2, SAMPLES, generator=draws) for _ in range(3)]
    return (found[0] * second, *found[1:])


@pytest.fixture
def step():
    torch.manual_seed(0)
    return MaskStep(build_unet(UNetConfig(THIN, seconds=1, sources=3)))


def fix_logits(step, real, imaginary=0.0):
    """Make the network return the same mask for any input."""
    with torch.no_grad():
        step.model.unet.head.weight.zero_()
        step.model.unet.head.bias.copy_(torch.tensor([real, imaginary]))


def test_the_mask_of_a_voice_alone_is_one(step):
    silence = torch.zeros(2, SAMPLES)
    fix_logits(step, 1.0)
    batch = (silence, silence, sources()[2])
    # Bins that are nearly empty differ by the eps of the public code.
    assert step(*batch).item() < 1e-3
    fix_logits(step, 0.5)
    loud = step(*batch).item()
    assert loud > 100 * 1e-3


def test_a_second_voice_is_not_the_target(step):
    second, music, target = sources()
    fix_logits(step, 1.0)
    silence = torch.zeros(2, SAMPLES)
    assert step(target, silence, silence + 1e-9) > 10 * step(silence, silence, target)
    torch.testing.assert_close(step(second, music, target), step(music, second, target))


def test_chance_is_the_loss_of_the_best_constant_mask(step):
    batches = [sources(number) for number in range(4)]

    def make_batch(rng, _):
        return batches.pop(0)

    known = mask_chance(step, make_batch, seed=0)
    batch = sources(0)
    found = []
    for share in torch.linspace(0, 0.9, 19).tolist():
        fix_logits(step, math.atanh(share))
        found.append(step(*batch).item())
    assert min(found) == pytest.approx(known, rel=0.03)
    assert min(found) < found[0] and min(found) < found[-1]


def test_tokens_and_frames_give_the_same_loss():
    torch.manual_seed(0)
    model = build_ynet_v(YNetVConfig(THIN, (2, 2, 2, 2, 3), seconds=1)).train()
    frames = torch.rand(2, 3, 25, 48, 96)
    with torch.no_grad():
        from_frames = MaskStep(model)(frames, *sources())
        from_tokens = MaskStep(model, tokens=True)(model.encode_video(frames), *sources())
    assert torch.equal(from_frames, from_tokens)


def test_the_voices_of_a_step_are_those_of_its_model(step):
    mixture = sum(sources())
    step.eval()
    with torch.no_grad():
        assert torch.equal(step.separate(mixture), step.model.separate(mixture))
