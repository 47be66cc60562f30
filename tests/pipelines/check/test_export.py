import csv
import io
import json
from dataclasses import replace

import pytest

from avsync.pipelines.check.export import COLUMNS, csv_text, json_text, write_csv, write_json
from avsync.scoring.result import CheckResult, Fault, OffsetSegment
from avsync.scoring.result_json import to_json


@pytest.fixture
def results():
    good = CheckResult(
        file='a, "b"\n\udcff.mp4',
        status="ok",
        reason=None,
        detail="",
        verdict="audio_lags",
        borderline=True,
        offset_ms=-61.0,
        interval_ms=(-65.0, -57.0),
        confidence=0.9,
        duration_s=8.0,
        tracks=(),
        model="dense_sync",
        profile="ebu",
        search_s=1.0,
    )
    silent = replace(
        good,
        file="silent.mp4",
        status="cannot_tell",
        reason="silence",
        verdict=None,
        offset_ms=None,
        interval_ms=None,
    )
    return [good, silent]


def test_json_is_the_document_of_the_schema(results):
    assert json.loads(json_text(results)) == to_json(results)


def test_a_table_has_one_row_per_file_under_its_header(results):
    rows = list(csv.DictReader(io.StringIO(csv_text(results), newline="")))
    assert [row["file"] for row in rows] == ['a, "b"\\n\\udcff.mp4', "silent.mp4"]
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["interval_low_ms"], rows[0]["interval_high_ms"]) == ("-65.0", "-57.0")
    assert {row["profile"] for row in rows} == {"ebu"}


def test_what_is_not_known_is_empty_and_not_zero(results):
    silent = list(csv.DictReader(io.StringIO(csv_text(results), newline="")))[1]
    assert silent["offset_ms"] == silent["interval_low_ms"] == silent["verdict"] == ""


@pytest.mark.parametrize(
    "name", ["=1+1.mp4", "+a.mp4", "-a.mp4", "@a.mp4", " =1.mp4", "\uff1d1.mp4", "'=1.mp4"]
)
def test_no_cell_is_a_formula_and_a_file_is_still_found_by_its_name(results, name):
    (text,) = csv.DictReader(
        io.StringIO(csv_text([replace(results[0], file=name, detail=name)]), newline="")
    )
    assert text["file"] == f"./{name}"
    assert text["detail"] == f"'{name}"
    assert text["offset_ms"] == "-61.0"


@pytest.mark.parametrize(
    "control", ["\r", "\n", "\t", "\x0b", "\x85", "\u2028", "\x1b[31m", "\u202e"]
)
def test_a_name_with_control_characters_is_one_cell_of_one_line_and_no_formula(results, control):
    text = csv_text([replace(results[0], file=f"{control}=1{control}.mp4", detail=control)])
    assert len(text.splitlines()) == 2
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["file"] == f"{control}=1{control}.mp4".encode("unicode_escape").decode()
    assert row["status"] == "ok" and row["search_s"] == "1.0"


@pytest.mark.parametrize("write", [write_json, write_csv])
def test_a_table_replaces_its_own_kind_only_and_no_checked_file(results, tmp_path, write):
    target = tmp_path / "out"
    write(results, target)
    write(results[:1], target)
    target.write_text("my notes")
    with pytest.raises(FileExistsError, match=r"exists and is not .* of a"):
        write(results, target)
    assert target.read_text() == "my notes"
    write(results, target, overwrite=True)
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    (tmp_path / "link").symlink_to(tmp_path / "clip.mp4")
    checked = [replace(results[0], file=str(tmp_path / "clip.mp4"))]
    with pytest.raises(ValueError, match="an output must not replace an input"):
        write(checked, tmp_path / "link", overwrite=True)
    assert (tmp_path / "clip.mp4").read_bytes() == b"a video"


def test_a_fault_has_its_columns(results):
    fault = Fault("drift", (OffsetSegment(0.0, 8.0, 2.0, 500.0),), 500.0, None, 4.5, 8.0, 60.0)
    row, none = csv.DictReader(
        io.StringIO(csv_text([replace(results[0], fault=fault), results[1]]), newline="")
    )
    columns = ("fault", "drift_ppm", "out_s", "worst_t_s", "worst_ms")
    assert [row[column] for column in columns] == ["drift", "500.0", "4.5", "8.0", "60.0"]
    assert [none[column] for column in columns] == [""] * 5


def test_files_are_written_whatever_the_names_in_them(results, tmp_path):
    write_json(results, tmp_path / "new" / "a.json")
    write_csv(results, tmp_path / "a.csv")
    assert json.loads((tmp_path / "new" / "a.json").read_text())["files"][0]["offset_ms"] == -61.0
    assert (tmp_path / "a.csv").read_bytes().startswith(b"file,status,reason")
