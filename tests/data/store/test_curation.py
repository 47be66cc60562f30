import pytest

from avsync.data.store.curation import CleanRow, read_clean_lists, write_clean_list

ROWS = [
    CleanRow("a.0", "x/a.mp4", "keep", 3.0, 0.99, ""),
    CleanRow("b.0", "x/b.mp4", "move", -123.44, 0.95, "-123 ms off"),
    CleanRow("c.0", "x/c.mp4", "drop", None, 0.0, "no_match"),
]


def test_a_written_table_is_read_back(tmp_path):
    write_clean_list(tmp_path / "a.csv", ROWS)
    found = read_clean_lists([tmp_path / "a.csv"])
    assert found.dropped == {"c.0"}
    assert found.moved_ms == {"b.0": -123.4}


def test_tables_of_several_stores_add_up(tmp_path):
    write_clean_list(tmp_path / "a.csv", ROWS[:2])
    write_clean_list(tmp_path / "b.csv", ROWS[2:])
    assert read_clean_lists([tmp_path / "a.csv", tmp_path / "b.csv"]).dropped == {"c.0"}
    assert read_clean_lists([]) == (frozenset(), {})


def test_a_damaged_table_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(ValueError, match="clean must name a table of clips"):
        read_clean_lists([path])
    path.write_text("clip,action\na.0,keep\nb.0,delete\n")
    with pytest.raises(ValueError, match="keep, drop or move, got 'delete' in line 3"):
        read_clean_lists([path])
    path.write_text("clip,action,offset_ms\na.0,move,\n")
    with pytest.raises(ValueError, match="must give offset_ms of a clip to move, got '' in 2"):
        read_clean_lists([path])
