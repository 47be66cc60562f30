import math

import pytest
import torch

from avsync.losses.adversarial import AdversarialLoss


@pytest.fixture
def loss():
    return AdversarialLoss()


def test_a_critic_that_cannot_tell_costs_each_side_chance(loss):
    zeros = torch.zeros(5)
    assert loss.maker(zeros).item() == pytest.approx(math.log(2))
    assert loss.critic(zeros, zeros).item() == pytest.approx(2 * math.log(2))
    assert loss.chance == pytest.approx(math.log(2))


def test_it_is_the_cross_entropy_of_probabilities_by_hand(loss):
    real, made = torch.tensor([0.8, 0.6]), torch.tensor([0.3, 0.9])
    maker = -(math.log(0.3) + math.log(0.9)) / 2
    critic = -(math.log(0.8) + math.log(0.6)) / 2 - (math.log(0.7) + math.log(0.1)) / 2
    assert loss.maker(made.logit()).item() == pytest.approx(maker, rel=1e-5)
    assert loss.critic(real.logit(), made.logit()).item() == pytest.approx(critic, rel=1e-5)


def test_sure_logits_stay_finite_and_keep_their_gradient(loss):
    made = torch.tensor([-200.0], requires_grad=True)
    paid = loss.maker(made)
    paid.backward()
    assert paid.item() == pytest.approx(200) and made.grad.item() == pytest.approx(-1)


def test_as_many_pictures_cost_as_one(loss):
    real, made = torch.tensor([1.0]), torch.tensor([-0.5])
    torch.testing.assert_close(loss.critic(real.repeat(4), made), loss.critic(real, made))


def test_logits_of_another_shape_are_named(loss):
    with pytest.raises(ValueError, match=r"made must be \(B,\) logits, got \(2, 1\)"):
        loss.maker(torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"real must be \(B,\) logits, got \(0,\)"):
        loss.critic(torch.zeros(0), torch.zeros(1))
