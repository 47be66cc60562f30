"""The house stands: imports go down, never in a circle, and help costs no torch."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "docs" / "house.md"
HEIGHTS = {"ground": 0, "floor 1": 1, "floor 2": 2, "floor 3": 3, "floor 4": 4, "roof": 5}
LINE = re.compile(r"^  (\w+)(?:/|\.py) +(ground|floor \d|roof) ", re.MULTILINE)


def floors() -> dict[str, int]:
    return {name: HEIGHTS[floor] for name, floor in LINE.findall(HOUSE.read_text())}


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file, for every module under the folder of a package."""
    names = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are written in full, line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found |= {inner if inner in known else node.module} & set(known)
    return found - {name}


def graph(package: Path) -> dict[str, set[str]]:
    known = modules(package)
    return {name: imports(name, path, known) for name, path in known.items()}


def height(module: str, heights: dict[str, int]) -> int:
    return heights[module.split(".")[1] if "." in module else "__init__"]


def climbs(edges: dict[str, set[str]], heights: dict[str, int]) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, targets in sorted(edges.items())
        for target in sorted(targets)
        if height(target, heights) > height(name, heights)
    ]


def without_the_lazy_root(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    # The package's own names are imported when first used; the command reads only its version.
    return {name: targets - {"avsync"} for name, targets in edges.items() if name != "avsync"}


def test_every_module_has_a_floor():
    missing = {n.split(".")[1] for n in modules(ROOT / "avsync") if "." in n} - set(floors())
    assert not missing, f"docs/house.md names no floor for {missing}"


def test_every_floor_named_is_there():
    present = {path.stem for path in (ROOT / "avsync").iterdir()}
    assert set(floors()) <= present


def test_imports_go_down_only():
    assert not climbs(graph(ROOT / "avsync"), floors())


def test_imports_do_not_go_in_a_circle():
    sorter = TopologicalSorter(without_the_lazy_root(graph(ROOT / "avsync")))
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_only_signal_imports_torchaudio():
    for name, path in modules(ROOT / "avsync").items():
        if name != "avsync.signal":
            text = path.read_text()
            assert not re.search(r"^\s*(import|from) torchaudio", text, re.MULTILINE), name


# What hands out FFmpeg's own containers, streams and frames.
RAW_READING = {"open_media", "video_stream", "audio_stream", "decoded", "packets", "decoded_frames"}


def test_only_media_reads_and_writes_media_files():
    """Synthetic clips, which are written from arrays, are below `avsync.media` too."""
    for name, path in modules(ROOT / "avsync").items():
        if name.startswith("avsync.media"):
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
    (package / "timing.py").write_text("def f():\n    from avsync.media import video\n")
    (package / "media" / "video.py").write_text("from avsync.timing import f\n")
    return package


def test_an_import_that_climbs_is_seen_inside_a_function_too(house):
    assert climbs(graph(house), floors()) == ["avsync.timing imports avsync.media.video"]


def test_a_circle_is_seen(house):
    with pytest.raises(CycleError):
        TopologicalSorter(without_the_lazy_root(graph(house))).prepare()


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
