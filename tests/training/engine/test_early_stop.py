import pytest
import torch
from torch import nn

from avsync.training.engine.early_stop import EarlyStop, Watch

WATCH = Watch("accuracy")


def module(value):
    task = nn.Linear(1, 1, bias=False)
    nn.init.constant_(task.weight, value)
    return task


def seen(figures, patience, watch=WATCH, others_first=False):
    early = EarlyStop(patience, watch)
    for number, figure in enumerate(figures):
        measured = {"accuracy": figure, "other": -figure, "loss": -figure}
        early.update(dict(reversed(measured.items())) if others_first else measured, module(number))
    return early


def test_it_stops_after_patience_measurements_without_an_improvement():
    assert not seen([1, 2, 1, 1], 3).should_stop
    assert seen([1, 2, 1, 1, 2], 3).should_stop
    assert not seen([1, 2, 1, 1, 2.1], 3).should_stop


def test_the_best_weights_are_restored():
    task = module(9.0)
    seen([1, 5, 2, 3], 3).restore_best(task)
    assert task.weight.item() == 1


def test_without_patience_it_never_stops_and_keeps_nothing():
    early = seen([3, 2, 1, 0], 0)
    assert not early.should_stop
    task = module(9.0)
    early.restore_best(task)
    assert task.weight.item() == 9


def test_what_is_kept_does_not_follow_the_module():
    early, task = EarlyStop(2, WATCH), module(1.0)
    early.update({"accuracy": 1.0}, task)
    nn.init.constant_(task.weight, 7.0)
    early.restore_best(task)
    assert task.weight.item() == 1


def test_its_state_resumes():
    second = EarlyStop(2, WATCH)
    second.load_state_dict(seen([5, 4], 2).state_dict())
    second.update({"accuracy": 4.0}, module(2))
    assert second.should_stop
    task = module(9.0)
    second.restore_best(task)
    assert torch.equal(task.weight, torch.zeros(1, 1))


def test_patience_without_a_measurement_is_refused():
    with pytest.raises(ValueError, match="patience needs something measured"):
        EarlyStop(2, WATCH).update({}, module(1.0))


def test_the_order_of_the_figures_does_not_matter():
    for others_first in (False, True):
        early = seen([1, 5, 2, 3], 3, others_first=others_first)
        task = module(9.0)
        early.restore_best(task)
        assert (early.best, early.since, task.weight.item()) == (5, 2, 1)


def test_a_figure_of_which_less_is_better_is_watched_as_such():
    early = seen([1, 5, 2, 3], 2, Watch("loss", higher_is_better=False))
    assert (early.best, early.since, early.should_stop) == (-5, 2, True)
    assert EarlyStop(2, Watch("loss", higher_is_better=False)).best == float("inf")


def test_a_figure_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match="patience watches psnr, measured were accuracy, other"):
        seen([1], 2, Watch("psnr"))
    with pytest.raises(ValueError, match="patience needs a figure to watch"):
        EarlyStop(2)


def test_a_state_of_an_older_version_resumes():
    early = EarlyStop(2, WATCH)
    early.load_state_dict({"best": 0.7, "since": 1, "kept": {"weight": torch.ones(1, 1)}})
    early.update({"other": 0.9, "accuracy": 0.6}, module(2))
    assert early.should_stop and early.best == 0.7
