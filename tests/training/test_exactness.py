"""A run is the same run however often it is killed and however many processes share it."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import small_run

from avsync.training.engine.batches import BatchDataset, Curriculum
from avsync.training.engine.checkpoint import STATE_FILE
from avsync.training.engine.run_log import LOG_FILE

# Starting processes takes long on a busy machine.
pytestmark = [pytest.mark.timeout(400), pytest.mark.arithmetic]

SCRIPT = Path(__file__).with_name("small_run.py")


def state(folder):
    return torch.load(folder / STATE_FILE, weights_only=True)


def lines(folder):
    with open(folder / LOG_FILE, newline="") as file:
        return [{**row, "seconds": None} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of the runs that took processes of their own, and what they said."""
    folder = tmp_path_factory.mktemp("runs")
    command = [sys.executable, str(SCRIPT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


# These two take the processes of `runs`; a run killed in this process is in engine/test_loop.py.
@pytest.mark.slow
def test_sigkill_at_any_moment_changes_no_bit_of_the_weights(runs):
    folder, said = runs
    assert len(said.splitlines()[-1].split()) == len(("killed", "after")) + small_run.KILLS, said
    whole, killed = state(folder / "whole"), state(folder / "killed")
    for part in ("task", "average"):
        for name, value in whole[part].items():
            assert torch.equal(killed[part][name], value), f"{part} {name}"
    for number, moments in whole["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(killed["optimizer"]["state"][number][name], value), name
    assert lines(folder / "killed") == lines(folder / "whole")
    assert not list((folder / "killed").glob(".*"))


def of_both(progress):
    """What two processes draw for a step, or one that accumulates two batches, as one batch."""
    steps = small_run.SHARED_STEPS
    step = round(progress * steps)
    every = [BatchDataset(small_run.make_batch, 0, steps, 1, rank, 2)[step] for rank in range(2)]
    columns = zip(*(batch.tensors for batch in every), strict=True)
    return lambda rng, draws: tuple(torch.cat(column) for column in columns)


def assert_same_run(one, two):
    for part in ("task", "average"):
        for name, value in state(one)[part].items():
            torch.testing.assert_close(state(two)[part][name], value, atol=1e-6, rtol=0)
    for first, second in zip(lines(one), lines(two), strict=True):
        assert first["loss"] == second["loss"], (first, second)


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(runs, tmp_path):
    small_run.plain_run(tmp_path, Curriculum(of_both))
    assert_same_run(tmp_path, runs[0] / "shared")


def test_accumulated_batches_take_the_steps_of_one_that_holds_them_all(tmp_path):
    small_run.plain_run(tmp_path / "one", Curriculum(of_both))
    small_run.plain_run(tmp_path / "two", accumulate=2)
    assert_same_run(tmp_path / "one", tmp_path / "two")
