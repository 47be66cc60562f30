"""The house stands: imports go down, never in a circle, and help costs no torch."""

import ast
import re
import subprocess
import sys

import pytest
from structure import ROOT, circle, climbs, floors, graph, modules


def test_every_module_has_a_floor():
    missing = {n.split(".")[1] for n in modules(ROOT / "avsync") if "." in n} - set(floors())
    assert not missing, f"docs/house.md names no floor for {missing}"


def test_every_floor_named_is_there():
    present = {path.stem for path in (ROOT / "avsync").iterdir()}
    assert set(floors()) <= present


def test_imports_go_down_only():
    assert not climbs(graph(ROOT / "avsync"), floors())


def test_imports_do_not_go_in_a_circle():
    assert not circle(graph(ROOT / "avsync"))


def test_only_audio_imports_torchaudio():
    for name, path in modules(ROOT / "avsync").items():
        if not name.startswith("avsync.audio."):
            text = path.read_text()
            assert not re.search(r"^\s*(import|from) torchaudio", text, re.MULTILINE), name


# What hands out FFmpeg's own containers, streams and frames.
RAW_READING = {
    "open_media",
    "video_stream",
    "audio_stream",
    "decoded",
    "packets",
    "decode_video_frames",
}


# Besides `avsync.media`: rendered clips are written from arrays; FFmpeg's resampler reads no file.
USE_PYAV = ("avsync.media", "avsync.synthetic.clip_file", "avsync.audio.resampling")


def test_only_media_reads_and_writes_media_files():
    for name, path in modules(ROOT / "avsync").items():
        if name.startswith(USE_PYAV):
            continue
        text = path.read_text()
        assert not re.search(r"^\s*(import av\b|from av[. ])", text, re.MULTILINE), name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("avsync.media"):
                assert not RAW_READING & {alias.name for alias in node.names}, name


@pytest.fixture
def house(tmp_path):
    """A package of our name with one import that climbs and a circle."""
    package = tmp_path / "avsync"
    (package / "media").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "media" / "__init__.py").touch()
    (package / "cli.py").write_text("import avsync.timing\n")
    (package / "timing.py").write_text("def f():\n    from avsync.media import video_reader\n")
    (package / "media" / "video_reader.py").write_text("from avsync.timing import f\n")
    return package


def test_an_import_that_climbs_is_seen_inside_a_function_too(house):
    assert climbs(graph(house), floors()) == ["avsync.timing imports avsync.media.video_reader"]


def test_a_circle_is_seen(house):
    found = circle(graph(house))
    assert {"avsync.timing", "avsync.media.video_reader"} <= set(found)


@pytest.mark.parametrize(
    "statement",
    [
        "import avsync",
        "import avsync; avsync.list_models(); avsync.PROFILES",
        "from avsync.cli import main; main(['--version'])",
        "from avsync.cli import main; main(['--help'])",
        "from avsync.cli import main; main(['check', '--help'])",
        "from avsync.cli import main; main(['models'])",
    ],
)
def test_names_and_help_load_no_torch(statement):
    heavy = "{'torch', 'torchaudio', 'cv2', 'av', 'matplotlib', 'scipy'}"
    code = f"""
import sys
try:
    {statement.replace("; ", chr(10) + "    ")}
except SystemExit as leave:
    assert leave.code in (0, None), leave.code
sys.exit(str(sorted({heavy} & set(sys.modules))) if {heavy} & set(sys.modules) else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
