"""Each violation that the benchmark of kills counts is found in a writer that is unsafe."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from avsync.atomic import write_text
from benchmarks.media.kill_writers import (
    VIOLATIONS,
    Command,
    figures,
    kill_once,
    run,
    run_undisturbed,
)
from benchmarks.media.written_files import content, read_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork and /proc")
KILLS = 8


def atomic(inputs: Path, output: Path) -> int:
    (output / ".new").write_text("new")
    (output / ".new").replace(output / "result.txt")
    return 0


def in_place(inputs: Path, output: Path) -> int:
    with open(output / "result.txt", "w") as file:
        for _ in range(20):
            file.write("new")
            file.flush()
            os.rename(file.name, file.name)
    return 0


def leaving(inputs: Path, output: Path) -> int:
    partial = output / f".{os.getpid()}.part"
    partial.write_text("new")
    partial.replace(output / "result.txt")
    return 0


def safe(inputs: Path, output: Path) -> int:
    write_text(output / "result.txt", "new")
    return 0


def two_files(inputs: Path, output: Path) -> int:
    for name in ("a.txt", "b.txt"):
        (output / ".new").write_text("new")
        (output / ".new").replace(output / name)
    return 0


def bound(inputs: Path, output: Path) -> int:
    """Replace two files while the JSON file that binds them is gone."""
    (output / "record.json").unlink(missing_ok=True)
    two_files(inputs, output)
    write_text(output / "record.json", "{}")
    return 0


def touching(inputs: Path, output: Path) -> int:
    with open(inputs / "input.txt", "a") as file:
        file.write("more")
    return atomic(inputs, output)


def refusing(inputs: Path, output: Path) -> int:
    (output / "lock").mkdir()
    code = atomic(inputs, output)
    (output / "lock").rmdir()
    return code


def adding(inputs: Path, output: Path) -> int:
    for _ in range(3):
        with open(output / "result.txt", "a") as file:
            file.write("new")
    return 0


def temporary(inputs: Path, output: Path) -> int:
    scratch = Path(os.environ["TMPDIR"]) / f"scratch{os.getpid()}"
    scratch.write_text("new")
    code = atomic(inputs, output)
    scratch.unlink()
    return code


def forking(inputs: Path, output: Path) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    code = atomic(inputs, output)
    child.kill()
    child.wait()
    return code


def kills(command: Command, folder: Path) -> set[str]:
    inputs, output = folder / "in", folder / "out"
    inputs.mkdir(exist_ok=True)
    (inputs / "input.txt").write_text("input")
    reference = run_undisturbed(command, inputs, output)
    rng, found = random.Random(0), set()
    for _ in range(KILLS):
        found |= set(kill_once(command, inputs, output, reference, rng).violations)
    return found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("benchmarks.media.killed_process.MAX_ORPHANED_S", 0.2)


def test_a_safe_writer_violates_nothing(tmp_path):
    command = Command("safe", safe, earlier=True, together=(".txt",))
    assert kills(command, tmp_path) == set()


@pytest.mark.parametrize(
    ("writer", "violation"),
    [
        (in_place, "earlier file torn"),
        (leaving, "files left"),
        (two_files, "files of two runs"),
        (touching, "input changed"),
        (refusing, "second run fails"),
        (adding, "result differs"),
        (temporary, "temporary files left"),
        (forking, "processes left"),
    ],
)
def test_each_violation_is_found_in_an_unsafe_writer(tmp_path, writer, violation):
    earlier = violation in ("earlier file torn", "files of two runs")
    command = Command(writer.__name__, writer, earlier, (".txt",))
    assert violation in kills(command, tmp_path)
    assert violation in VIOLATIONS


def test_a_kill_at_an_event_comes_before_it(tmp_path):
    command = Command("atomic", atomic, earlier=True)
    reference = run_undisturbed(command, tmp_path / "in", tmp_path / "out")
    # It opens the partial file and renames it.
    assert (reference.finished.code, reference.finished.events) == (0, 2)


def test_times_and_dates_do_not_make_results_differ(tmp_path):
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text('{"offset_ms": 3.0, "seconds": 1.2}')
    b.write_text('{"seconds": 1.3, "offset_ms": 3.0}')
    assert content(a) == content(b)
    b.write_text('{"seconds": 1.3, "offset_ms": 3.1}')
    assert content(a) != content(b)
    a.write_text('{"offset_ms": 3')
    assert content(a) != content(b)
    assert set(read_folder(tmp_path)) == {"a.json", "b.json"}


def test_a_replacement_that_has_openly_begun_is_no_mixture(tmp_path):
    command = Command("bound", bound, earlier=True, together=(".txt", ".json"))
    inputs, output = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    output.mkdir()
    reference = run_undisturbed(command, inputs, output)
    rng = random.Random(0)
    done = [kill_once(command, inputs, output, reference, rng) for _ in range(2 * KILLS)]
    assert not [kill for kill in done if kill.violations]
    assert {kill.begun for kill in done} == {True, False}


def test_figures_count_violations_by_command():
    rows = [
        {"command": "fix", "moment": "event 1 of 2", "violations": [], "begun": True},
        {
            "command": "fix",
            "moment": "0.1 s, had ended",
            "violations": ["files left"],
            "begun": False,
        },
    ]
    found = figures(rows)
    assert found["violations"]["files left"] == 1
    assert found["commands"] == {"fix": {"kills": 2, "files left": 1}}
    assert (found["before_the_end"], found["at_file_events"]) == (1, 1)
    assert found["replacement_begun"] == 1


def test_a_slow_command_is_killed_in_every_third_round(tmp_path):
    quick, slow = Command("quick", atomic), Command("slow", atomic, slow=True)
    rows = run([quick, slow], tmp_path / "in", tmp_path, kills=6, seed=0)
    names = [row["command"] for row in rows]
    assert names == ["quick", "slow", "quick", "quick", "quick", "slow"]
    assert {row["moment"].partition(" ")[0] for row in rows} != {"event"}
