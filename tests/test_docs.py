"""The pages of the documentation: their Python runs, their links resolve, they are short."""

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
# Pages whose code trains or builds the largest model.
SLOW = {"train_on_your_videos", "fine_tune", "bring_your_own", "features", "vocalist"}
CODE = [
    pytest.param(page, marks=pytest.mark.slow) if page.stem in SLOW else page
    for page in WITH_CODE
    if page.parent != ROOT
]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", CODE, ids=name_of)
def test_the_code_of_a_page_runs(page):
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
