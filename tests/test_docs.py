"""The pages of the documentation: their Python runs, their links resolve, they are short."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in page.parts),
]
WITH_CODE = [page for page in PAGES if "```python" in page.read_text("utf-8")]
# Tables between these marks are written by scripts of the benchmarks.
GENERATED = re.compile(r"<!-- \w+ tables: begin -->.*?<!-- \w+ tables: end -->", re.DOTALL)
MOST_WORDS = 1500
PROMISES = ROOT / "docs" / "concepts" / "tested_promises.md"
# Pages whose code trains or builds the largest model.
SLOW = {"train_on_your_videos", "fine_tune", "bring_your_own", "features", "vocalist"}
# Its code reads what its commands write: tests/pipelines/test_clean_clips_page.py runs both.
WITH_COMMANDS = {"clean_clips"}
CODE = [
    pytest.param(page, marks=pytest.mark.slow) if page.stem in SLOW else page
    for page in WITH_CODE
    if page.parent != ROOT and page.stem not in WITH_COMMANDS
]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", CODE, ids=name_of)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert len(names) > 1  # more than __builtins__: the page defines what it talks of


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_files_of_the_repository_resolve(page):
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    files = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [file for file in files if not (page.parent / file).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_is_short_generated_tables_aside(page):
    assert len(GENERATED.sub("", page.read_text("utf-8")).split()) < MOST_WORDS


def promises():
    """Rows of the tables of promises, and what each names in backticks that is a path."""
    rows = [line for line in PROMISES.read_text("utf-8").split("\n") if line.startswith("| ")]
    named = [re.findall(r"`((?:tests|benchmarks)/[^`]+)`", row) for row in rows]
    return [(row, found) for row, found in zip(rows, named, strict=True) if "| test |" not in row]


def test_every_promise_names_tests_and_benchmarks_that_exist():
    missing = []
    for row, found in promises():
        if not found:
            missing.append(row)
        for name in found:
            path, _, function = name.partition("::")
            if not (ROOT / path).is_file():
                missing.append(name)
            elif path.startswith("tests/"):
                tree = ast.parse((ROOT / path).read_text("utf-8"))
                defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
                if not function.startswith("test_") or function not in defined:
                    missing.append(name)
    assert missing == []


@pytest.mark.parametrize("name", ["how_to/repair.md", "how_to/batches.md", "concepts/json.md"])
def test_a_page_of_promises_and_their_tests_link_each_other(name):
    page = ROOT / "docs" / name
    assert "tested_promises.md)" in page.read_text("utf-8")
    heading = rf"^## \[.*\]\((\.\./how_to/)?{page.name}\)$"
    assert re.search(heading, PROMISES.read_text("utf-8"), re.MULTILINE)
    assert len(promises()) > 100
