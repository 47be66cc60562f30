import numpy as np
import pytest

from avsync.data.store.curation import (
    CleanList,
    CleanRow,
    put_right,
    read_clean_lists,
    write_clean_list,
)
from avsync.timing import SAMPLES_PER_FRAME

ROWS = [
    CleanRow("a.0", "x/a.mp4", "keep", 3.0, 0.99, ""),
    CleanRow("b.0", "x/b.mp4", "move", -123.44, 0.95, "-123 ms off"),
    CleanRow("c.0", "x/c.mp4", "drop", None, 0.0, "no_match"),
]


def test_what_is_written_is_read(tmp_path):
    write_clean_list(tmp_path / "a.csv", ROWS)
    found = read_clean_lists([tmp_path / "a.csv"])
    assert found.dropped == {"c.0"}
    assert found.moved_ms == {"b.0": -123.4}


def test_lists_of_several_stores_add_up(tmp_path):
    write_clean_list(tmp_path / "a.csv", ROWS[:2])
    write_clean_list(tmp_path / "b.csv", ROWS[2:])
    assert read_clean_lists([tmp_path / "a.csv", tmp_path / "b.csv"]).dropped == {"c.0"}
    assert read_clean_lists([]) == (frozenset(), {})


def test_a_table_that_says_something_else_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(ValueError, match="clean must name a table of clips"):
        read_clean_lists([path])
    path.write_text("clip,action\na.0,keep\nb.0,delete\n")
    with pytest.raises(ValueError, match="keep, drop or move, got 'delete' in line 3"):
        read_clean_lists([path])
    path.write_text("clip,action,offset_ms\na.0,move,\n")
    with pytest.raises(ValueError, match="must give offset_ms of a clip to move, got '' in 2"):
        read_clean_lists([path])


@pytest.mark.parametrize("lead_ms", [-300.0, -90.0, 100.0, 280.0])
def test_a_clip_that_is_moved_has_its_sound_with_its_pictures(store, lead_ms):
    clip = store["one.0"]
    lead = round(16 * lead_ms)
    wrong = np.roll(np.asarray(clip.wav_16k), -lead)  # it leads
    rows = CleanList(frozenset({"two.0"}), {"one.0": lead_ms + 20})
    (moved,) = put_right([clip._replace(wav_16k=wrong), store["two.0"]], rows, zero_ms=20)
    assert len(moved.wav_16k) == len(moved.mouth) * SAMPLES_PER_FRAME
    assert len(clip.mouth) - len(moved.mouth) == -(-abs(lead) // SAMPLES_PER_FRAME)
    brightness = moved.mouth[:, 1, 1, 0] / 200
    loudness = moved.wav_16k[SAMPLES_PER_FRAME // 2 :: SAMPLES_PER_FRAME]
    np.testing.assert_allclose(loudness, brightness, atol=0.01)
    assert np.shares_memory(moved.mouth, clip.mouth)


def test_what_no_table_names_is_left_as_it_is(store):
    (clip, *_), none = list(store), CleanList(frozenset(), {})
    assert put_right([clip], none)[0] is clip
    with pytest.raises(ValueError, match=r"clip one\.0 of 1\.6 s cannot move by 5000 ms"):
        put_right([clip], CleanList(frozenset(), {"one.0": 5000.0}))
