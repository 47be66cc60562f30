import pytest
import torch
from torch import nn

from avsync.training.engine.checkpoint import STATE_FILE, RunState


def state(folder, width=2):
    torch.manual_seed(width)
    return RunState(folder / STATE_FILE, {"task": nn.Linear(width, 1)})


def test_without_a_file_a_run_begins(tmp_path):
    assert state(tmp_path).resume() == 0


def test_what_was_saved_comes_back_with_its_step(tmp_path):
    first, second = state(tmp_path), state(tmp_path)
    nn.init.constant_(first.components["task"].weight, 7.0)
    first.save(12)
    assert second.resume() == 12
    assert second.components["task"].weight.eq(7.0).all()


def test_what_a_killed_save_left_is_removed_and_nothing_else(tmp_path):
    state(tmp_path).save(1)
    (tmp_path / ".state.4711.part.pt").write_bytes(b"half a state")
    (tmp_path / "other.part.pt").touch()
    assert state(tmp_path).resume() == 1
    assert {path.name for path in tmp_path.iterdir()} == {STATE_FILE, "other.part.pt"}


def test_a_state_of_another_size_or_cut_short_is_refused(tmp_path):
    state(tmp_path).save(1)
    with pytest.raises(RuntimeError, match=r"state\.pt does not fit this run; choose another"):
        state(tmp_path, width=3).resume()
    whole = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RuntimeError, match=r"state\.pt does not fit this run"):
        state(tmp_path).resume()
