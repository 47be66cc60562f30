import os
import subprocess
import sys

import pytest

from avsync.locks import InUseError, locked

HOLD = """
import sys, time
from avsync.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_gone_even_if_killed(tmp_path):
    path = tmp_path / "results.jsonl"
    first = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    said = rf"results.jsonl is being written by process {first.pid} on .* since 2.*: wait for it"
    with pytest.raises(InUseError, match=said), locked(path):
        pass
    first.kill()
    first.communicate()
    with locked(path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_lock_is_of_one_output_only(tmp_path):
    first, second = locked(tmp_path / "a"), locked(tmp_path / "a")
    with first, locked(tmp_path / "b"), pytest.raises(InUseError), second:
        pass
