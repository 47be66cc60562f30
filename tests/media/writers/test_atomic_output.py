"""A new file is whole or not there, and why it cannot be written is said in plain words."""

import errno
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from avsync.media.writers.atomic_output import (
    atomic_output,
    check_destination,
    explain_write_errors,
)
from avsync.media.writers.remux import shift_audio


def test_a_file_takes_its_position_when_it_is_whole(tmp_path):
    target = tmp_path / "new.mp4"
    target.write_bytes(b"old")
    with atomic_output(target) as partial:
        partial.write_bytes(b"new")
        assert target.read_bytes() == b"old"
        assert partial.parent == tmp_path
        assert partial.suffix == ".mp4"
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["new.mp4"]


def test_a_file_is_on_the_disk_before_it_takes_its_position(tmp_path, monkeypatch):
    target, synced = tmp_path / "new.mp4", []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    with atomic_output(target) as partial:
        partial.write_bytes(b"new")
        monkeypatch.setattr(
            type(partial), "replace", lambda path, to: os.replace(path, to) or synced.append(to)
        )
    assert synced == [target.stat().st_ino, target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "new.mp4"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_output(target) as partial:
        partial.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["new.mp4"]


def test_what_a_killed_process_left_is_removed_and_what_others_write_is_not(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout.strip()
    host = re.sub(r"[^\w-]", "_", platform.node())[:40]
    left = tmp_path / f".new.{host}-{dead}-0123abcd.part.mp4"
    kept = [
        tmp_path / f".new.{host}-{os.getpid()}-0123abcd.part.mp4",
        tmp_path / f".new.elsewhere-{dead}-0123abcd.part.mp4",
        tmp_path / f".other.{host}-{dead}-0123abcd.part.mp4",
        tmp_path / ".new.mp4",
        tmp_path / "new.part.mp4",
    ]
    for path in (left, *kept):
        path.write_bytes(b"something")
    with atomic_output(tmp_path / "new.mp4") as partial:
        partial.write_bytes(b"whole")
    assert set(tmp_path.iterdir()) == {*kept, tmp_path / "new.mp4"}


def test_the_longest_name_there_is_can_be_written(tmp_path):
    target = tmp_path / ("x" * 251 + ".mp4")
    with atomic_output(target) as partial:
        partial.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"


def test_a_folder_is_no_destination(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder, expected a file"):
        check_destination(tmp_path / "a.mp4", tmp_path, overwrite=True)


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path):
    tmp_path.chmod(0o555)
    code = f"""
import os
from pathlib import Path
from avsync.media.writers.atomic_output import check_destination
if os.getuid() == 0:
    os.setuid(65534)
try:
    check_destination(Path("a.mp4"), Path({str(tmp_path / "b.mp4")!r}))
except PermissionError as error:
    print(error)
"""
    # One folder more with pytest-xdist, which has a folder for each worker.
    for folder in list(tmp_path.parents)[:3]:
        if folder.owner() == tmp_path.owner() and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    tmp_path.chmod(0o755)
    assert f"the folder {tmp_path} may not be written to" in done.stdout, done.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_one(tmp_path, number):
    target = tmp_path / "new.mp4"
    with (
        pytest.raises(OSError, match=r"new\.mp4 cannot be written: there is no space left for it"),
        explain_write_errors(tmp_path / "old.mp4", target),
    ):
        raise OSError(number, "whatever")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
@pytest.mark.skipif(os.name != "posix", reason="limits on the size of files are POSIX's")
def test_a_copy_that_lacks_its_last_byte_is_no_copy(make_clip, tmp_path, name):
    clip, target = make_clip(name), tmp_path / f"new{name[4:]}"
    code = """
import resource, sys
from pathlib import Path
from avsync.media.writers.remux import shift_audio
clip, target = sys.argv[1:]
shift_audio(clip, target, 40.0)
size = Path(target).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, resource.RLIM_INFINITY))
try:
    shift_audio(clip, target, 40.0, overwrite=True)
except OSError as error:
    said = str(error)
assert Path(target).stat().st_size == size
print(said)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, clip, target], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(f"{target.name} cannot be written: there is no space"), done
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, target.name])


def test_a_killed_copy_leaves_input_and_earlier_output_whole(make_clip, tmp_path):
    clip, target = make_clip("clip.mp4", duration_s=6.0), tmp_path / "new.mp4"
    target.write_bytes(b"an earlier output")
    original = clip.read_bytes()
    code = """
import sys
import time
from avsync.media.writers.atomic_output import atomic_output
from avsync.media.writers.remux import write_shifted
from pathlib import Path
clip, target = map(Path, sys.argv[1:])
print("begun", flush=True)
while True:
    try:
        with atomic_output(target) as partial:
            write_shifted(clip, partial, target, 40.0)
            raise InterruptedError
    except InterruptedError:
        pass
"""
    for moment_s in (0.0, 0.013, 0.05, 0.11):
        worker = subprocess.Popen(
            [sys.executable, "-c", code, clip, target], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "begun\n"
        time.sleep(moment_s)
        worker.kill()
        worker.communicate()
        assert clip.read_bytes() == original
        assert target.read_bytes() == b"an earlier output"
    shift_audio(clip, target, 40.0, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "new.mp4"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_as_destination(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(ValueError, match=r"pipe\.mp4 is a pipe or a device, expected a file"):
        check_destination(tmp_path / "a.mp4", tmp_path / "pipe.mp4", overwrite=True)
