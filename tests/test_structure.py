"""The package's structure stays within its limits; `make structure` prints the counts."""

import statistics

import pytest
import structure
from structure import measure


@pytest.fixture(scope="module")
def found():
    return measure()


def test_no_folder_holds_more_files_than_a_reader_can_scan(found):
    full = {name: count for name, count in found.folders.items() if count > structure.MAX_FILES}
    assert not full


def test_no_module_is_longer_than_one_idea(found):
    long = {name: lines for name, lines in found.lines.items() if lines > structure.MAX_LINES}
    assert not long


def test_modules_are_neither_crumbs_nor_lumps(found):
    low, high = structure.MEDIAN_LINES
    assert low <= statistics.median(found.lines.values()) <= high
    small = [name for name, lines in found.lines.items() if lines < structure.SMALL_LINES]
    assert len(small) <= structure.MAX_SMALL_FILES


def test_a_private_module_has_more_than_one_importer(found):
    assert set(found.one_importer) == set(structure.ONE_IMPORTER)


def test_packages_do_not_import_each_other_in_a_circle(found):
    assert not found.package_circle


def test_counts_see_a_lonely_module_and_a_circle_of_packages(tmp_path):
    package = tmp_path / "avsync"
    for name in ("media", "faces"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "media" / "a.py").write_text("from avsync.faces import b\n")
    (package / "faces" / "b.py").write_text("from avsync.media import c\n")
    (package / "media" / "c.py").write_text("x = 1\n")
    seen = measure(package)
    assert seen.one_importer == {
        "avsync.faces.b": "avsync.media.a",
        "avsync.media.c": "avsync.faces.b",
    }
    assert {"media", "faces"} <= set(seen.package_circle)
    (package / "media" / "__init__.pyi").write_text("from .c import x as x\n")
    assert measure(package).one_importer == {"avsync.faces.b": "avsync.media.a"}
