import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from avsync.training.engine.optimizer import learning_rate, make_optimizer, make_schedule
from avsync.training.engine.settings import LoopSettings


def rates(**changes):
    small = {"output": None, "steps": 100, "lr": 1.0, "warmup": 10, "decay": 0.2}
    settings = LoopSettings(**{**small, **changes})
    optimizer = make_optimizer(nn.Linear(2, 2), settings)
    set_rate = make_schedule(optimizer, settings)
    found = []
    for step in range(settings.steps):
        set_rate(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_linear_rises_stays_and_falls():
    found = rates()
    assert found[4] == 0.5
    assert found[10:80] == [1.0] * 70
    assert found[90] == pytest.approx(0.5)
    assert 0 < found[99] < 0.06


def test_without_decay_linear_stays():
    assert rates(decay=0.0)[10:] == [1.0] * 90


def test_cosine_is_half_way_down_in_the_middle():
    found = rates(schedule="cosine")
    assert found[10] == 1.0
    assert found[55] == pytest.approx(0.5)
    assert found[77] == pytest.approx(0.5 * (1 + math.cos(math.pi * 67 / 90)))
    assert 0 < found[99] < 0.001


def test_steps_drop_the_rate():
    found = rates(schedule="step", drop_every=30, drop_to=0.1)
    assert found[10:40] == [1.0] * 30
    assert found[40:70] == pytest.approx([0.1] * 30)
    assert found[70:] == pytest.approx([0.01] * 30)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
def test_the_first_step_of_the_warm_up_is_not_lost(schedule):
    found = rates(schedule=schedule)
    assert found[0] == pytest.approx(0.1)
    assert all(before < after for before, after in pairwise(found[:10]))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
def test_no_warm_up_starts_at_the_peak(schedule):
    assert rates(schedule=schedule, warmup=0)[0] == 1.0


def test_a_run_shorter_than_its_warm_up_is_possible():
    assert len(rates(schedule="cosine", steps=5)) == 5
    assert learning_rate(LoopSettings(output=None, steps=5, lr=1.0), 4) < 0.1


def test_adam_has_no_weight_decay():
    task = nn.Linear(2, 2)
    settings = LoopSettings(output=None, optimizer="adam", weight_decay=0.5)
    optimizer = make_optimizer(task, settings)
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["weight_decay"] == 0


def test_frozen_parameters_are_left_out():
    task = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    task[0].requires_grad_(False)
    optimizer = make_optimizer(task, LoopSettings(output=None))
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [
        id(p) for p in task[1].parameters()
    ]
    with pytest.raises(ValueError, match="all of them are frozen"):
        make_optimizer(task.requires_grad_(False), LoopSettings(output=None))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("steps", 0, "steps must be at least 1, got 0"),
        ("accumulate", 0, "accumulate must be at least 1, got 0"),
        ("patience", -1, "patience must be at least 0, got -1"),
        ("ema", 1.0, r"ema must be in \[0, 1\), got 1.0"),
        ("clip", 0.0, "clip must be positive, got 0.0"),
        ("beta", 1.0, r"beta must be in \[0, 1\), got 1.0"),
    ],
)
def test_settings_out_of_range_are_named(name, value, said):
    with pytest.raises(ValueError, match=said):
        LoopSettings(output=None, **{name: value})


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_mean_gradient_of_adam_decays_as_asked(name):
    layer = nn.Linear(1, 1)
    chosen = make_optimizer(layer, LoopSettings(Path(), optimizer=name, beta=0.5))
    assert chosen.defaults["betas"] == (0.5, 0.999)
    default = make_optimizer(layer, LoopSettings(Path(), optimizer=name))
    assert default.defaults["betas"] == torch.optim.Adam(layer.parameters()).defaults["betas"]


def test_sgd_keeps_its_momentum_and_decays_weights():
    layer = nn.Linear(1, 1, bias=False)
    settings = LoopSettings(Path(), lr=0.1, optimizer="sgd", momentum=0.5, weight_decay=0.01)
    optimizer = make_optimizer(layer, settings)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    layer.weight.grad = torch.ones(1, 1)
    optimizer.step()
    assert layer.weight.item() == pytest.approx(1 - 0.1 * 1.01)
    weight = layer.weight.item()
    layer.weight.grad = torch.zeros(1, 1)
    optimizer.step()
    assert layer.weight.item() == pytest.approx(weight - 0.1 * (0.5 * 1.01 + 0.01 * weight))
