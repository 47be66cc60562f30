import pytest
import torch
from torch import nn

from avsync.training.engine.loop import EarlyStop


def module(value):
    task = nn.Linear(1, 1, bias=False)
    nn.init.constant_(task.weight, value)
    return task


def seen(figures, patience):
    early = EarlyStop(patience)
    for number, figure in enumerate(figures):
        early.see({"accuracy": figure, "other": -figure}, module(number))
    return early


def test_it_stops_after_so_many_measurements_without_a_better_one():
    assert not seen([1, 2, 1, 1], 3).stops
    assert seen([1, 2, 1, 1, 2], 3).stops
    assert not seen([1, 2, 1, 1, 2.1], 3).stops


def test_the_best_weights_are_put_back():
    task = module(9.0)
    seen([1, 5, 2, 3], 3).put_back(task)
    assert task.weight.item() == 1


def test_without_patience_it_never_stops_and_keeps_nothing():
    early = seen([3, 2, 1, 0], 0)
    assert not early.stops
    task = module(9.0)
    early.put_back(task)
    assert task.weight.item() == 9


def test_what_is_kept_does_not_follow_the_module():
    early, task = EarlyStop(2), module(1.0)
    early.see({"accuracy": 1.0}, task)
    nn.init.constant_(task.weight, 7.0)
    early.put_back(task)
    assert task.weight.item() == 1


def test_its_state_goes_on():
    second = EarlyStop(2)
    second.load_state_dict(seen([5, 4], 2).state_dict())
    second.see({"accuracy": 4.0}, module(2))
    assert second.stops
    task = module(9.0)
    second.put_back(task)
    assert torch.equal(task.weight, torch.zeros(1, 1))


def test_patience_without_a_measurement_is_refused():
    with pytest.raises(ValueError, match="patience needs something measured"):
        EarlyStop(2).see({}, module(1.0))
