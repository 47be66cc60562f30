"""Prepare small corpora laid out as distributed, with rendered clips under the real names."""

import csv
import json

import numpy as np
import pytest
from pipelines.red_detector import RedDetector

from avsync.cli import main
from avsync.data.store.reader import Store
from avsync.data.store.splits import clips_of_split
from avsync.pipelines.prepare.prepare_store import prepare


def rejected(store):
    with open(store / "rejected.csv", newline="") as file:
        return {row["source"]: row for row in csv.DictReader(file)}


@pytest.fixture
def lrs2(tmp_path, make_clip):
    for part, duration_s in (("main", 1.6), ("pretrain", 2.0)):
        (tmp_path / "mvlrs_v1" / part / "553").mkdir(parents=True)
        make_clip(f"mvlrs_v1/{part}/553/00001.mp4", flashes=(), duration_s=duration_s)
    (tmp_path / "test.txt").write_text("553/00001 NF\n553/00002 NF\n")
    (tmp_path / "pretrain.txt").write_text("553/00001\n")
    return tmp_path


def run(folder, layout, **options):
    store = folder / "store"
    return store, prepare(folder, store, layout=layout, detector=RedDetector(), **options)


def test_lists_become_splits_and_what_is_missing_is_reported(lrs2):
    store, summary = run(lrs2, "lrs2", lists=["test.txt"])
    assert (summary.clips, summary.rejected) == (1, 1)
    row = rejected(store)["lrs2/main/553/00002.mp4"]
    assert row["reason"] == "missing"
    assert row["detail"].endswith("mvlrs_v1/main/553/00002.mp4 is not there")
    clips = Store(store)
    assert clips_of_split(clips, store / "splits.json", "test") == [0]
    assert (clips[0].source, clips[0].speaker) == ("lrs2/main/553/00001.mp4", "553")


def test_clips_of_one_name_in_two_subsets_are_separate(lrs2):
    run(lrs2, "lrs2", lists=["test.txt"])
    store, summary = run(lrs2, "lrs2", lists=["pretrain.txt"])
    assert (summary.files, summary.clips) == (1, 1)
    clips, splits = Store(store), store / "splits.json"
    assert [len(clips[i].face) for i in clips_of_split(clips, splits, "test")] == [40]
    assert [len(clips[i].face) for i in clips_of_split(clips, splits, "pretrain")] == [50]


def test_a_missing_file_that_appears_is_prepared_and_a_removed_one_is_kept(lrs2, make_clip):
    run(lrs2, "lrs2", lists=["test.txt"])
    make_clip("mvlrs_v1/main/553/00002.mp4", flashes=())
    (lrs2 / "mvlrs_v1/main/553/00001.mp4").unlink()
    store, summary = run(lrs2, "lrs2", lists=["test.txt"])
    assert (summary.files, summary.skipped, summary.clips, summary.rejected) == (1, 1, 2, 0)
    assert not rejected(store)
    assert len(Store(store)) == 2


def test_valid_segments_of_a_song_become_separate_clips(tmp_path, make_clip, hear_clicks):
    make_clip("abc_d.mkv", flashes=(), clicks=(1.7, 2.9), duration_s=5.0)
    sample = "abc_d_0_01_to_0_05"
    (tmp_path / "splits.json").write_text(json.dumps({"test_unseen": [sample]}))
    frames = {sample: [[5, 36], [38, 70], [100, 110]]}
    (tmp_path / "acapella_timestamps.json").write_text(json.dumps(frames))
    store, summary = run(tmp_path, "acappella")
    assert (summary.clips, summary.rejected) == (2, 1)
    one, two = Store(store)
    assert (one.start_s, len(one.face), one.track) == (1.2, 31, 0)
    assert (two.start_s, len(two.face), two.track) == (2.52, 32, 1)
    np.testing.assert_allclose(hear_clicks(one.wav_16k, 16000), [0.5], atol=0.002)
    np.testing.assert_allclose(hear_clicks(two.wav_16k, 16000), [0.38], atol=0.002)
    row = rejected(store)[one.source]
    assert (row["reason"], row["start_s"], row["detail"]) == (
        "no_face",
        "5.0",
        "no face was found from 5 to 5.4 s",
    )
    assert clips_of_split(Store(store), store / "splits.json", "test_unseen") == [0, 1]


def test_a_song_without_a_valid_segment_is_reported(tmp_path, make_clip):
    sample = "abc_0_0_to_0_02"
    make_clip(f"{sample}.mp4")
    (tmp_path / "splits.json").write_text(json.dumps({"train": [sample]}))
    (tmp_path / "acapella_timestamps.json").write_text(json.dumps({"other": [[0, 1]]}))
    store, _ = run(tmp_path, "acappella")
    assert [row["reason"] for row in rejected(store).values()] == ["no_valid_part"]


def test_other_segments_of_a_file_are_prepared_from_scratch(tmp_path, make_clip):
    make_clip("abc_0_0_to_0_02.mp4", flashes=())
    (tmp_path / "splits.json").write_text('{"train": ["abc_0_0_to_0_02"]}')
    for last, seen in ((30, 30), (40, 40), (40, 40)):
        times = {"abc_0_0_to_0_02": [[0, last]]}
        (tmp_path / "acapella_timestamps.json").write_text(json.dumps(times))
        store, summary = run(tmp_path, "acappella")
        assert [len(clip.face) for clip in Store(store)] == [seen]
    assert summary.skipped == 1


def test_head_crops_are_stored_if_requested(lrs2):
    store, _ = run(lrs2, "lrs2", lists=["test.txt"], crops=("head",))
    clip = Store(store)[0]
    assert clip.head.shape == (40, 224, 224, 3)
    # The face's top left quarter is red; the head is wider, and grey beyond the frame.
    red, green, _ = clip.head[3, 90:110, 90:110].mean(axis=(0, 1))
    assert red > 150 and green < 90
    assert abs(clip.head[3, :20, :20].astype(int) - 110).max() < 3


def test_the_command_takes_further_crops(lrs2, capsys):
    line = ["prepare", str(lrs2), "-o", str(lrs2 / "store"), "--layout", "lrs2"]
    assert main([*line, "--crops", "mesh", "head", "--detector", "haar"]) == 0
    # The same rules from Python: nothing is left to do.
    again = prepare(lrs2, lrs2 / "store", layout="lrs2", detector="haar", crops=("head", "mesh"))
    assert (again.files, again.skipped) == (0, 3)


def test_the_command_takes_layout_and_lists(lrs2, capsys):
    line = ["prepare", str(lrs2), "-o", str(lrs2 / "store"), "--layout", "lrs2"]
    assert main([*line, "--list", "test.txt", "pretrain.txt", "--detector", "haar"]) == 0
    assert "3 files prepared" in capsys.readouterr().out
    splits = json.loads((lrs2 / "store" / "splits.json").read_text())
    assert splits == {
        "test": ["lrs2/main/553/00001", "lrs2/main/553/00002"],
        "pretrain": ["lrs2/pretrain/553/00001"],
    }


def test_wrong_layouts_and_crops_are_named(lrs2):
    with pytest.raises(ValueError, match="crops must be head, mesh, got heads"):
        run(lrs2, "lrs2", crops=("heads",))
    with pytest.raises(ValueError, match="layout must be one of folder, lrs2, acappella"):
        run(lrs2, "lrs3")
    with pytest.raises(ValueError, match="a list belongs to a layout"):
        run(lrs2, "folder", lists=["test.txt"])
