import csv

import pytest
import torch
from torch import nn

from avsync.training.loop import LOG_FILE, LoopSettings, fit, learning_rate

STEPS = 12


class Slope(nn.Module):
    """Fits y = 3 x; the loss of the right slope is 0."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.slope = nn.Linear(1, 1, bias=False)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, y):
        return (self.dropout(self.slope(x)) - y).square().mean()


class Killed(Exception):
    pass


def run(folder, kill_at=None, **changes):
    batches = 0

    def make_batch(rng, draws):
        nonlocal batches
        batches += 1
        if kill_at is not None and batches > kill_at:
            raise Killed
        x = torch.rand(8, 1, generator=draws) + rng.uniform()
        return x, 3 * x

    settings = LoopSettings(
        output=folder, steps=STEPS, lr=0.3, warmup=2, ema=0.5, save_every=5, device="cpu", **changes
    )
    return fit(Slope(), make_batch, settings, chance=1.0, validate=lambda task: {"good": 1.0})


def test_it_learns(tmp_path):
    before, after = Slope().slope.weight.item(), run(tmp_path).slope.weight.item()
    assert abs(after - 3) < abs(before - 3) / 2


def test_a_killed_run_ends_with_the_weights_of_one_never_killed(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", kill_at=8)
    resumed = run(tmp_path / "killed")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_another_seed_gives_another_run(tmp_path):
    one, other = run(tmp_path / "a"), run(tmp_path / "b", seed=1)
    assert not torch.equal(one.slope.weight, other.slope.weight)


def test_the_log_has_loss_chance_and_figures(tmp_path):
    run(tmp_path)
    with open(tmp_path / LOG_FILE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["step"] == str(STEPS)
    assert 0 < float(rows[0]["loss"]) < 100
    assert rows[0]["chance"] == "1.0000"
    assert rows[-1]["measured"] == "good=1"


def test_the_rate_rises_stays_and_falls():
    settings = LoopSettings(output=None, steps=100, lr=1.0, warmup=10, decay=0.2)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[4] == 0.5
    assert rates[10:80] == [1.0] * 70
    assert rates[90] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.06


def test_a_state_of_another_task_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(RuntimeError, match=r"state\.pt does not fit this run"):
        fit(nn.Linear(3, 3), None, LoopSettings(output=tmp_path, device="cpu"), 1.0, None)
