"""A command that needs an extra says so before any work, in one sentence."""

import subprocess
import sys

import pytest

from avsync.extras import EXTRAS, require_extra

BLOCKED = """
import sys
for name in {modules!r}:
    sys.modules[name] = None
from avsync.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_message_names_what_is_missing_and_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(RuntimeError, match=r"it needs jiwer: pip install 'avsync\[evaluate\]'$"):
        require_extra("evaluate", "it")
    require_extra("evaluate", "it", ["torchmetrics"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("train dense-sync --data {store} -o {out}", "train"),
        ("train fine-tune --data {store} -o {out}", "train"),
        ("evaluate lipread --data {store} --transcripts {out} --weights {out}", "evaluate"),
        ("evaluate talking --data {store} --weights {out}", "evaluate"),
    ],
)
def test_no_work_is_done_before_a_missing_extra_is_named(store, tmp_path, line, extra):
    arguments = line.format(store=store.path, out=tmp_path / "out").split()
    code = BLOCKED.format(modules=list(EXTRAS[extra]))
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and f"pip install 'avsync[{extra}]'" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_options_of_training_need_no_extra():
    code = BLOCKED.format(modules=list(EXTRAS["train"]))
    arguments = ["train", "dense-sync", "--help"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True)
    assert done.returncode == 0
