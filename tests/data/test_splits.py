import json

import pytest

from avsync.data.splits import clips_of_split


class Rows:
    path = "store"
    rows = ({"source": "a/one.mp4"}, {"source": "a/two.mkv"}, {"source": "b/one.mp4"})

    def __len__(self):
        return 3


def test_clips_are_chosen_by_the_name_of_their_source(tmp_path):
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": ["one"], "test": ["two"]}))
    assert clips_of_split(Rows(), splits, "train") == [0, 2]
    assert clips_of_split(Rows(), splits, "test") == [1]
    assert clips_of_split(Rows(), None, "test") == [0, 1, 2]


def test_a_split_that_is_not_there_is_named(tmp_path):
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": ["one"], "val": ["nine"]}))
    with pytest.raises(ValueError, match="split must be one of train, val of"):
        clips_of_split(Rows(), splits, "test")
    with pytest.raises(ValueError, match="holds no clip of split 'val'"):
        clips_of_split(Rows(), splits, "val")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="splits must be a JSON file of names"):
        clips_of_split(Rows(), tmp_path / "bad.json", "val")
