import math
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from avsync.tasks.talking.discriminator import FaceDiscriminator
from avsync.tasks.talking.generator import TalkingFaceConfig
from avsync.tasks.talking.wav2lip import Wav2LipConfig, build_wav2lip
from avsync.training.steps.talking import (
    SUPPLEMENT,
    ExpertTerms,
    LossWeights,
    TalkingStep,
    talking_chance,
)

pytestmark = pytest.mark.arithmetic

DRAWS = TalkingFaceConfig((2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3), 2)
LR = 1e-2


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return build_wav2lip(Wav2LipConfig((2, 3, 4, 5), DRAWS)), FaceDiscriminator((2, 3, 4, 5, 6))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    identity, pose = torch.rand(2, 2, 3, 5, 96, 96, generator=generator)
    indices = torch.tensor([[3, 4, 5, 6, 7], [0, 1, 2, 3, 4]])
    return identity, pose, indices, 0.1 * torch.randn(2, 9 * 640, generator=generator)


def optimizer(*modules):
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return torch.optim.Adam(parameters, lr=LR, betas=(0.5, 0.999))


def test_one_optimiser_takes_the_steps_of_the_two_of_the_public_code(parts, batch):
    model, critic = (deepcopy(part) for part in parts)
    identity, pose, indices, wav = batch
    draws, judges = optimizer(model), optimizer(critic)
    step = TalkingStep(*parts[:1], LossWeights(lip=0.0), parts[1])
    both = optimizer(step)
    for _ in range(3):
        both.zero_grad()
        step(*batch).backward()
        both.step()
        # Theirs: the maker steps, then the critic, on frames drawn before.
        draws.zero_grad()
        tokens = model.encode_at_frames(model.front_end(wav), indices)
        faces = torch.cat([pose, identity], 1).transpose(1, 2).flatten(0, 1).clone()
        faces[:, :3, 48:] = 0
        made, real = model(tokens.flatten(0, 1), faces), pose.transpose(1, 2).flatten(0, 1)
        deceived = F.binary_cross_entropy(critic(made).sigmoid(), torch.ones(10))
        (0.07 * deceived + 0.93 * F.l1_loss(made, real)).backward()
        draws.step()
        judges.zero_grad()
        F.binary_cross_entropy(critic(real).sigmoid(), torch.ones(10)).backward()
        F.binary_cross_entropy(critic(made.detach()).sigmoid(), torch.zeros(10)).backward()
        judges.step()
    for name, ours, theirs in (("model", step.model, model), ("critic", step.critic, critic)):
        moved = dict(theirs.named_parameters())
        for key, value in ours.named_parameters():
            torch.testing.assert_close(value, moved[key], atol=2e-3, rtol=0, msg=f"{name} {key}")


def test_the_value_is_the_distance_to_the_true_frames_alone(parts, batch):
    plain = TalkingStep(parts[0], LossWeights(gan=0.0, lip=0.0))
    judged = TalkingStep(parts[0], LossWeights(lip=0.0), parts[1])
    torch.testing.assert_close(plain(*batch), judged(*batch))
    assert 0 < plain(*batch).item() < 1


def test_an_expert_counts_by_its_weights_and_gets_its_inputs(parts, batch):
    asked = []

    def expert(model, generated, tokens, audio, indices, expert_inputs):
        asked.append((generated.shape, tokens.shape, audio.shape[-1], indices, expert_inputs))
        return ExpertTerms(generated.sum(), -3 * generated.sum())

    extra = torch.zeros(2)
    weights = LossWeights(gan=0.0, lip=0.5, contrast=0.25, reconstruction=0.0)
    step = TalkingStep(parts[0], weights, expert=expert)
    step(extra, *batch).backward()
    out = step.model.generator.decoder.out[1]
    (gradient,) = torch.autograd.grad(
        -0.25
        * step.generate(
            step.model.encode_at_frames(step.model.front_end(batch[3]), batch[2]), *batch[:2]
        ).sum(),
        out.bias,
    )
    torch.testing.assert_close(out.bias.grad, gradient)
    generated, tokens, columns, indices, expert_inputs = asked[0]
    assert generated == (2, 3, 5, 96, 96) and tokens == (2, 5, 7) and columns == 29
    assert indices is batch[2] and expert_inputs == (extra,)


def test_weights_are_the_public_codes_and_the_supplements_on_request():
    assert LossWeights().l1 == pytest.approx(0.92999)
    assert SUPPLEMENT.l1 == 1e-5 and SUPPLEMENT.lip == pytest.approx(0.92899)
    with pytest.raises(ValueError, match="weights must be 0 or more and gan"):
        LossWeights(gan=0.5, lip=0.6)


def test_a_critic_without_its_weight_is_refused(parts):
    with pytest.raises(ValueError, match=r"critic must be given where weights\.gan is not 0"):
        TalkingStep(parts[0], LossWeights())
    with pytest.raises(ValueError, match=r"critic must be given where weights\.gan is not 0"):
        TalkingStep(parts[0], LossWeights(gan=0.0), parts[1])


def test_chance_is_what_another_frame_costs(batch):
    identity, pose = (
        torch.zeros(2, 3, 5, 96, 96),
        torch.full((2, 3, 5, 96, 96), 51, dtype=torch.uint8),
    )
    made = talking_chance(lambda rng, draws: (identity.byte(), pose, *batch[2:]), seed=0)
    assert math.isclose(made, 0.2, rel_tol=1e-6)
