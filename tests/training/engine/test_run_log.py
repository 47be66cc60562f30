import csv

import pytest

from avsync.training.engine.run_log import LOG_FILE, LoggedStep, RunLog


def rows(folder):
    with open(folder / LOG_FILE, newline="") as file:
        return list(csv.DictReader(file))


def logged(folder, first, last, steps=100, **options):
    log = RunLog(folder, steps, 0.6931, **options)
    with log.start(first):
        for number in range(first + 1, last + 1):
            log.add_step(LoggedStep(number, 1 / number, 0.001))
        log.flush()
    return log


def test_a_line_holds_the_mean_loss_since_the_one_before_and_chance(tmp_path):
    logged(tmp_path, 0, 50)
    one, two = rows(tmp_path)
    assert (one["step"], two["step"]) == ("25", "50")
    assert float(two["loss"]) == pytest.approx(sum(1 / n for n in range(26, 51)) / 25, abs=1e-4)
    assert one["chance"] == "0.6931"
    assert one["rate"] == "0.001"


def test_chance_stands_in_every_line_on_the_terminal(tmp_path, capsys):
    logged(tmp_path, 0, 50)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 2
    assert all("chance 0.6931" in line for line in said)
    assert said[1].startswith("step 50 of 100: loss 0.0273, ")


def test_lines_past_the_state_are_written_again_once(tmp_path):
    logged(tmp_path, 0, 80)
    with open(tmp_path / LOG_FILE, "a") as file:
        file.write("100,9")  # cut off by a kill
    logged(tmp_path, 60, 100)
    assert [row["step"] for row in rows(tmp_path)] == ["25", "50", "75", "100"]
    assert None not in rows(tmp_path)[-1].values()


def test_losses_since_the_last_line_are_part_of_the_state(tmp_path):
    before = logged(tmp_path, 0, 40)
    log = RunLog(tmp_path, 100, 0.6931)
    log.load_state_dict(before.state_dict())
    with log.start(40):
        for number in range(41, 51):
            log.add_step(LoggedStep(number, 1 / number, 0.001))
    logged(tmp_path / "whole", 0, 50)
    assert rows(tmp_path)[1]["loss"] == rows(tmp_path / "whole")[1]["loss"]


def test_only_the_first_process_writes(tmp_path, capsys):
    log = logged(tmp_path, 0, 50, writes=False)
    log.show("something")
    assert not (tmp_path / LOG_FILE).exists()
    assert capsys.readouterr().err == ""


def test_curves_for_tensorboard_hold_what_the_lines_hold(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = RunLog(tmp_path, 50, 0.6931, tensorboard=True)
    with log.start(0):
        for number in range(1, 51):
            log.add_step(LoggedStep(number, 1 / number, 0.001))
        log.add_figures({"within_1_at_5": 62.0})
    curves = events.EventAccumulator(str(tmp_path))
    curves.Reload()
    assert [point.step for point in curves.Scalars("loss")] == [25, 50]
    assert curves.Scalars("chance")[0].value == pytest.approx(0.6931)
    assert curves.Scalars("within_1_at_5")[0].value == 62.0


def test_tensorboard_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(RuntimeError, match=r"pip install 'avsync\[tensorboard\]'"):
        RunLog(tmp_path, 50, 0.6931, tensorboard=True).start(0)
