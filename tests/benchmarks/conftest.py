"""Fixtures for the tests of benchmark scripts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import record

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Redirect the records of all scripts to a temporary folder and return it."""
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def page_with_marks() -> Callable[[str], str]:
    """Return a function that reads the page of the docs with the marks of the given tables."""

    def read(name: str) -> str:
        pages = [page.read_text("utf-8") for page in sorted(DOCS.rglob("*.md"))]
        (page,) = [page for page in pages if f"<!-- {name} tables: begin -->" in page]
        return page

    return read
