import csv

import pytest
import torch
from torch import nn

from avsync.training.engine.checkpoint import STATE_FILE
from avsync.training.engine.early_stop import Watch
from avsync.training.engine.loop import fit
from avsync.training.engine.run_log import LOG_FILE
from avsync.training.engine.settings import LoopSettings

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


def run(folder, kill_at=None, task=None, **changes):
    batches = 0

    def make_batch(rng, draws):
        nonlocal batches
        batches += 1
        if kill_at is not None and batches > kill_at:
            raise Killed
        x = torch.rand(8, 1, generator=draws) + rng.uniform()
        return x, 3 * x

    small = {"steps": STEPS, "lr": 0.3, "warmup": 2, "ema": 0.5, "save_every": 5}
    settings = LoopSettings(output=folder, device="cpu", **{**small, **changes})
    watch = Watch("good")
    return fit(task or Slope(), make_batch, settings, 1.0, lambda task: {"good": 1.0}, watch)


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


def test_a_state_of_another_task_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(RuntimeError, match=r"state\.pt does not fit this run"):
        fit(nn.Linear(3, 3), None, LoopSettings(output=tmp_path, device="cpu"), 1.0, None)


def test_the_average_starts_at_the_first_step_and_follows(tmp_path):
    one = run(tmp_path / "one", steps=1, decay=0.0, ema=0.75)
    first = torch.load(tmp_path / "one" / STATE_FILE)["task"]["slope.weight"]
    assert torch.equal(one.slope.weight, first)
    two = run(tmp_path / "two", steps=2, decay=0.0, ema=0.75)
    second = torch.load(tmp_path / "two" / STATE_FILE)["task"]["slope.weight"]
    torch.testing.assert_close(two.slope.weight.data, 0.75 * first + 0.25 * second)


def test_adam_schedules_and_workers_reach_the_loop(tmp_path):
    plain = run(tmp_path / "plain")
    for number, changes in enumerate(
        [{"optimizer": "adam"}, {"schedule": "cosine"}, {"accumulate": 2}, {"clip": 1e-3}]
    ):
        other = run(tmp_path / str(number), **changes)
        assert not torch.equal(plain.slope.weight, other.slope.weight), changes
    prefetched = run(tmp_path / "prefetched", workers=1)
    assert torch.equal(plain.slope.weight, prefetched.slope.weight)


def test_mixed_precision_computes_in_half_and_keeps_full_weights(tmp_path):
    class Spy(Slope):
        def forward(self, x, y):
            types.add(self.slope(x).dtype)
            return super().forward(x, y)

    types = set()
    trained = run(tmp_path, task=Spy(), precision="bf16-mixed")
    assert types == {torch.bfloat16}
    assert trained.slope.weight.dtype == torch.float32


def test_a_run_that_gets_no_better_stops_and_keeps_the_best(tmp_path):
    run(tmp_path, patience=2, validate_every=2)
    with open(tmp_path / LOG_FILE, newline="") as file:
        measured = [row["step"] for row in csv.DictReader(file) if row["measured"]]
    assert measured == ["2", "4", "6"]
    whole = run(tmp_path / "whole", steps=2, validate_every=2, decay=0.0)
    stopped = run(tmp_path / "stopped", patience=2, validate_every=2, decay=0.0)
    assert torch.equal(stopped.slope.weight, whole.slope.weight)
    again = run(tmp_path / "stopped", patience=2, validate_every=2, decay=0.0)
    assert torch.equal(stopped.slope.weight, again.slope.weight)


def test_a_loss_at_chance_is_said_and_stands_in_the_log(tmp_path, capsys):
    class Cut(Slope):
        def forward(self, x, y):
            return super().forward(x, y).detach() * 0 + 1 + 0 * self.slope.weight.sum()

    run(tmp_path, task=Cut(), alarm_after=6)
    said = capsys.readouterr().err
    assert said.count("the loss is at chance: 1.0000 over the last 6 steps") == 2
    assert "no gradient reaches 1 of 1 parameters (slope.weight)" in said
    with open(tmp_path / LOG_FILE, newline="") as file:
        alarms = [row["step"] for row in csv.DictReader(file) if row["alarm"]]
    assert alarms == ["6", "12"]


def test_what_cannot_learn_one_batch_is_not_trained(tmp_path, capsys):
    class Cut(Slope):
        def forward(self, x, y):
            return super().forward(x, y).detach() + 0 * self.slope.weight.sum()

    with pytest.raises(RuntimeError, match=r"overfit-one-batch failed: .* does not move"):
        run(tmp_path / "cut", task=Cut(), overfit_one_batch=5)
    assert not (tmp_path / "cut" / STATE_FILE).exists()
    plain = run(tmp_path / "plain")
    tested = run(tmp_path / "tested", overfit_one_batch=50)
    assert "overfit-one-batch passed" in capsys.readouterr().err
    assert torch.equal(plain.slope.weight, tested.slope.weight)


def test_a_loss_that_is_not_a_number_stops_the_run_and_leaves_its_state(tmp_path):
    class Breaks(Slope):
        steps = 0

        def forward(self, x, y):
            self.steps += 1
            return super().forward(x, y) * (float("nan") if self.steps > 7 else 1)

    with pytest.raises(RuntimeError, match=r"the loss is nan at step 8: try a lower learning rate"):
        run(tmp_path, task=Breaks())
    state = torch.load(tmp_path / STATE_FILE)
    assert state["step"] == 5
    assert state["task"]["slope.weight"].isfinite().all()
