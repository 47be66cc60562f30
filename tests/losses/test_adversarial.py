import math

import pytest
import torch

from avsync.losses.adversarial import AdversarialLoss

pytestmark = pytest.mark.arithmetic


@pytest.fixture
def loss():
    return AdversarialLoss()


def test_an_undecided_discriminator_gives_the_chance_level(loss):
    zeros = torch.zeros(5)
    assert loss.generator(zeros).item() == pytest.approx(math.log(2))
    assert loss.discriminator(zeros, zeros).item() == pytest.approx(2 * math.log(2))
    assert loss.chance == pytest.approx(math.log(2))


def test_it_is_the_cross_entropy_worked_out_by_hand(loss):
    real, generated = torch.tensor([0.8, 0.6]), torch.tensor([0.3, 0.9])
    generator = -(math.log(0.3) + math.log(0.9)) / 2
    discriminator = -(math.log(0.8) + math.log(0.6)) / 2 - (math.log(0.7) + math.log(0.1)) / 2
    assert loss.generator(generated.logit()).item() == pytest.approx(generator, rel=1e-5)
    assert loss.discriminator(real.logit(), generated.logit()).item() == pytest.approx(
        discriminator, rel=1e-5
    )


def test_extreme_logits_stay_finite_and_keep_their_gradient(loss):
    generated = torch.tensor([-200.0], requires_grad=True)
    value = loss.generator(generated)
    value.backward()
    assert value.item() == pytest.approx(200) and generated.grad.item() == pytest.approx(-1)


def test_the_number_of_images_does_not_matter(loss):
    real, generated = torch.tensor([1.0]), torch.tensor([-0.5])
    torch.testing.assert_close(
        loss.discriminator(real.repeat(4), generated), loss.discriminator(real, generated)
    )


def test_logits_of_another_shape_are_named(loss):
    with pytest.raises(ValueError, match=r"generated must be \(B,\) logits, got \(2, 1\)"):
        loss.generator(torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"real must be \(B,\) logits, got \(0,\)"):
        loss.discriminator(torch.zeros(0), torch.zeros(1))
