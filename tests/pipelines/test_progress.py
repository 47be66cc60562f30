import os
import pty
import subprocess
import sys

import pytest

WORK = """
import avsync.pipelines.progress as progress
progress.DELAY_S = {delay_s}
with progress.progress_bar("a[b].mp4") as report:
    for step in range(5):
        report(step / 4)
"""


def work_on_a_terminal(delay_s: float) -> str:
    """Return what is written to a terminal as stderr during the work."""
    ours, theirs = pty.openpty()
    code = WORK.format(delay_s=delay_s)
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.Popen(
        [sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, env=env
    )
    os.close(theirs)
    said = b""
    try:
        while block := os.read(ours, 4096):
            said += block
    except OSError:
        pass  # Linux says so where the other end has closed
    os.close(ours)
    assert done.communicate()[0] == b""
    assert done.returncode == 0
    return said.decode()


def test_long_work_shows_a_bar_on_a_terminal():
    assert "a[b].mp4" in work_on_a_terminal(delay_s=0)


def test_output_written_meanwhile_goes_to_stdout():
    code = WORK.replace(
        "report(step / 4)", "report(step / 4)\n        with report.aside(): print(step)"
    )
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code.format(delay_s=0)],
        stderr=theirs,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm"},
        check=True,
    )
    os.close(theirs)
    os.close(ours)
    assert done.stdout == b"0\n1\n2\n3\n4\n"


def test_short_work_shows_none():
    assert work_on_a_terminal(delay_s=60) == ""


@pytest.mark.parametrize("delay_s", [0, 60])
def test_nothing_is_written_to_a_pipe(delay_s):
    code = WORK.format(delay_s=delay_s)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
