import json
from types import SimpleNamespace

import pytest

from avsync.data.store.splits import clips_of_split, source_name, update_splits


class FakeStore:
    path = "store"
    rows = tuple(SimpleNamespace(source=name) for name in ("a/one.mp4", "a/two.mkv", "b/one.mp4"))

    def __len__(self):
        return 3


def test_clips_are_chosen_by_the_name_of_their_source(tmp_path):
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": ["one"], "test": ["two"]}))
    assert clips_of_split(FakeStore(), splits, "train") == [0, 2]
    assert clips_of_split(FakeStore(), splits, "test") == [1]
    assert clips_of_split(FakeStore(), None, "test") == [0, 1, 2]


def test_an_unknown_split_is_named(tmp_path):
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"train": ["one"], "val": ["nine"]}))
    with pytest.raises(ValueError, match="split must be one of train, val of"):
        clips_of_split(FakeStore(), splits, "test")
    with pytest.raises(ValueError, match="holds no clip of split 'val'"):
        clips_of_split(FakeStore(), splits, "val")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="splits must be a JSON file of names"):
        clips_of_split(FakeStore(), tmp_path / "bad.json", "val")


def test_a_name_may_contain_folders(tmp_path):
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"one": ["b/one"], "both": ["one"], "none": ["c/b/one"]}))
    assert clips_of_split(FakeStore(), splits, "one") == [2]
    assert clips_of_split(FakeStore(), splits, "both") == [0, 2]
    with pytest.raises(ValueError, match="holds no clip of split 'none'"):
        clips_of_split(FakeStore(), splits, "none")
    assert source_name("lrs2/main/553/00001.mp4") == "lrs2/main/553/00001"


def test_splits_of_another_run_are_kept(tmp_path):
    update_splits(tmp_path, {"train": ["a"], "test": ["b"]})
    path = update_splits(tmp_path, {"test": ["c"]})
    assert json.loads(path.read_text()) == {"train": ["a"], "test": ["c"]}
    path.write_text("{")
    with pytest.raises(RuntimeError, match=r"splits\.json is damaged"):
        update_splits(tmp_path, {})
