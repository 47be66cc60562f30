import math

import torch
from torch import nn

from avsync.training.engine.chance_monitor import ChanceMonitor

LN_2 = math.log(2)


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(2, 1), nn.Linear(2, 1)


def trained():
    torch.manual_seed(0)
    task = TwoParts()
    task.used(torch.rand(4, 2)).sum().backward()
    return task


def watched(losses, gradient=1.0, chance=LN_2, task=None, after=10):
    monitor = ChanceMonitor(chance, after, clip=5.0)
    task = task or trained()
    return [monitor.update(task, loss, gradient) for loss in losses]


def test_a_loss_at_chance_gives_a_warning_with_causes():
    *before, text = watched([0.6931] * 10)
    assert not any(before)
    first, *causes = text.splitlines()
    assert "0.6931 over the last 10 steps" in first
    assert "the chance level is 0.6931" in first
    assert len(causes) >= 4
    assert any("--overfit-one-batch" in cause for cause in causes)
    assert any("audit" in cause for cause in causes)


def test_a_loss_that_falls_gives_none():
    assert not any(watched([0.65] * 40))


def test_a_loss_above_chance_gives_one_too():
    assert watched([3.0] * 10)[-1]


def test_it_is_repeated_while_the_loss_stays():
    assert [bool(text) for text in watched([0.7] * 25)].count(True) == 2


def test_one_lucky_step_does_not_silence_it():
    assert watched([0.7] * 9 + [0.6])[-1]


def test_parameters_without_gradient_come_first():
    text = watched([0.7] * 10)[-1]
    assert "no gradient reaches 2 of 4 parameters (unused.weight, unused.bias)" in text
    assert text.splitlines()[1].strip().startswith("- no gradient")
    task = trained()
    task.unused.requires_grad_(False)
    assert "no gradient" not in watched([0.7] * 10, task=task)[-1]


def test_gradients_that_are_always_clipped_suggest_a_lower_rate():
    assert "clipped to 5 in 10 of 10 steps" in watched([0.7] * 10, gradient=80.0)[-1]
    assert "clipped" not in watched([0.7] * 10, gradient=1.0)[-1]


def test_a_vanished_gradient_is_named():
    assert "as good as zero (1e-09)" in watched([0.7] * 10, gradient=1e-9)[-1]


def test_it_can_be_switched_off_and_needs_a_chance():
    assert not any(watched([0.7] * 30, after=0))
    assert not any(watched([0.7] * 30, chance=0.0))
    assert not any(watched([0.7] * 30, chance=math.nan))


def test_a_resumed_run_keeps_its_count():
    first, second = (ChanceMonitor(0.7, 10, 5.0) for _ in range(2))
    task = trained()
    for _ in range(6):
        first.update(task, 0.7, 1.0)
    second.load_state_dict(first.state_dict())
    assert [bool(second.update(task, 0.7, 1.0)) for _ in range(4)] == [False, False, False, True]
