import os
import subprocess
import sys

import pytest

from avsync.atomic import partial_path, replacing, write_text

DIE = """
import os, sys
from avsync.atomic import replacing
with replacing(sys.argv[1]) as beside:
    beside.write_text("half")
    os._exit(1)
"""


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_process_left_is_removed_and_what_others_write_is_not(tmp_path):
    path = tmp_path / "a.txt"
    subprocess.run([sys.executable, "-c", DIE, path], check=False)
    assert len(os.listdir(tmp_path)) == 1
    (left,) = tmp_path.iterdir()
    kept = [partial_path(path), tmp_path / left.name.replace(".part.", ".", 1)]
    for other in kept:
        other.touch()
    write_text(path, "new")
    assert set(tmp_path.iterdir()) == {path, *kept}


@pytest.mark.parametrize("name", ["x" * 251 + ".txt", "a." + "x" * 253, "\u3042" * 83 + ".txt"])
def test_the_longest_names_there_are_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "text")
    assert os.listdir(tmp_path) == [name]


def test_stray_bytes_of_names_are_escaped(tmp_path):
    write_text(tmp_path / "a", "caf\udce9")
    assert (tmp_path / "a").read_text() == "caf\\udce9"


def test_a_pipe_is_written_to_and_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "text")
    assert os.read(reader, 9) == b"text"
    with pytest.raises(OSError, match="is a device or a pipe, expected a file"), replacing(pipe):
        pass
    os.close(reader)
