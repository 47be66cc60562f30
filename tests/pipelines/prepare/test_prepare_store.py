import csv
import errno
import hashlib
import multiprocessing
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pipelines.red_detector import RedDetector

from avsync.data.store.reader import Store
from avsync.data.store.records import SourceRecord
from avsync.data.store.writer import StoreWriteError
from avsync.faces.crops import Face
from avsync.faces.mesh_regions import cut_region, region_from_points
from avsync.locks import InUseError
from avsync.media.video_reader import read_frames
from avsync.pipelines.prepare import prepare_store, source_clips
from avsync.pipelines.prepare.prepare_file import MAX_SIDE, PrepareRules
from avsync.pipelines.prepare.prepare_store import (
    PrepareSummary,
    _collect,
    _start_worker,
    _with_rejections,
    prepare,
)
from avsync.pipelines.prepare.sources import VideoSource, plan_sources
from avsync.pipelines.workers import run_jobs

FLASHES = (0.4, 1.2, 1.6)


@pytest.fixture
def videos(tmp_path, make_clip) -> Path:
    (tmp_path / "anna").mkdir()
    make_clip("anna/one.mp4")
    make_clip("anna/two.mkv", sample_rate=44100, video_start_s=0.2, flashes=(0.6, 1.4, 1.8))
    return tmp_path / "anna"


def rejections(store: Path) -> dict[str, str]:
    with open(store / "rejected.csv", newline="") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}


def tree(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in sorted(folder.rglob("*.npy"))}


def test_every_video_becomes_a_clip(videos, tmp_path):
    summary = prepare(videos, tmp_path / "store", detector=RedDetector())
    assert summary == PrepareSummary(2, 0, 2, 0, pytest.approx(3.8))
    one, two = Store(tmp_path / "store")
    assert (one.source, one.speaker, one.track, one.start_s) == ("anna/one.mp4", "anna", 0, 0.0)
    assert one.face.shape == one.mouth.shape == (50, 96, 96, 3)
    assert two.face.shape == (45, 96, 96, 3)
    assert (one.sample_rate, two.sample_rate) == (48000, 44100)
    np.testing.assert_allclose(one.boxes, np.tile([0, 0, 48, 32], (50, 1)), atol=2.5)
    red, green, _ = one.face[3].mean(axis=(0, 1))
    assert red > 150 and green < 90


def test_audio_begins_with_the_first_frame(videos, tmp_path, hear_clicks):
    prepare(videos, tmp_path / "store", detector=RedDetector())
    one, two = Store(tmp_path / "store")
    np.testing.assert_allclose(hear_clicks(one.wav_16k, 16000), FLASHES, atol=0.002)
    np.testing.assert_allclose(hear_clicks(one.wav, 48000), FLASHES, atol=0.002)
    # Its clicks are at the same times, but its first frame comes 0.2 s late.
    np.testing.assert_allclose(hear_clicks(two.wav_16k, 16000), np.array(FLASHES) - 0.2, atol=0.002)
    np.testing.assert_allclose(hear_clicks(two.wav, 44100), np.array(FLASHES) - 0.2, atol=0.002)


def test_a_face_that_appears_late_has_the_audio_of_its_frames(videos, tmp_path, hear_clicks):
    (videos / "two.mkv").unlink()
    prepare(videos, tmp_path / "store", detector=RedDetector(first=4))
    clip = Store(tmp_path / "store")[0]
    assert clip.start_s == 0.8 and len(clip.face) == 30
    np.testing.assert_allclose(hear_clicks(clip.wav_16k, 16000), [0.4, 0.8], atol=0.002)
    np.testing.assert_allclose(hear_clicks(clip.wav, 48000), [0.4, 0.8], atol=0.002)


def test_a_second_run_does_nothing_and_a_changed_file_is_prepared_again(
    videos, tmp_path, make_clip
):
    store = tmp_path / "store"
    prepare(videos, store, detector=RedDetector())
    before = tree(store)
    assert prepare(videos, store, detector=RedDetector())[:3] == (0, 2, 2)
    assert tree(store) == before
    make_clip("anna/two.mkv", duration_s=1.6, flashes=())
    assert prepare(videos, store, detector=RedDetector())[:3] == (1, 1, 2)
    assert [len(clip.face) for clip in Store(store)] == [50, 40]
    os.utime(videos / "one.mp4", (1, 1))
    assert prepare(videos, store, detector=RedDetector())[:3] == (1, 1, 2)
    assert len(list((store / "clips").iterdir())) == 2


def test_with_other_rules_everything_is_prepared_again(videos, tmp_path):
    prepare(videos, tmp_path / "store", detector=RedDetector())
    summary = prepare(videos, tmp_path / "store", detector=RedDetector(), min_face_px=60)
    assert summary[:4] == (2, 0, 0, 2)
    assert set(rejections(tmp_path / "store").values()) == {"face_too_small"}
    assert not tree(tmp_path / "store")


def test_mesh_crops_are_those_of_the_face_mesh_network(videos, tmp_path):
    prepare(videos, tmp_path / "store", detector=RedDetector(), crops=("mesh",))
    clip = Store(tmp_path / "store")[0]
    frames = [frame.image for frame in read_frames(videos / "one.mp4")]
    assert clip.head is None and len(clip.mesh) == len(clip.face) == len(frames)
    for crop, image, points in zip(clip.mesh, frames, clip.points, strict=True):
        expected = cut_region(image, region_from_points(points))
        # The points in the store have single precision.
        assert np.abs(crop - expected.astype(float)).max() <= 1


def test_with_further_crops_everything_is_prepared_again(videos, tmp_path):
    def run(*crops):
        return prepare(videos, tmp_path / "store", detector=RedDetector(), crops=crops)[:3]

    assert run() == (2, 0, 2)
    assert run("mesh") == (2, 0, 2)
    assert all(clip.mesh is not None and clip.head is None for clip in Store(tmp_path / "store"))
    assert run("mesh") == (0, 2, 2)
    assert run("mesh", "head") == (2, 0, 2)
    assert run("head", "mesh", "head") == (0, 2, 2)
    clips = list(Store(tmp_path / "store"))
    assert all(clip.mesh is not None and clip.head is not None for clip in clips)
    assert len(clips) == 2


def test_a_stopped_run_is_resumed(videos, tmp_path):
    class Stopping(RedDetector):
        def __call__(self, image: np.ndarray) -> list[Face]:
            if self.calls == 14:
                raise KeyboardInterrupt
            return super().__call__(image)

    store = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        prepare(videos, store, detector=Stopping())
    assert [clip.source for clip in Store(store)] == ["anna/one.mp4"]
    assert prepare(videos, store, detector=RedDetector())[:3] == (1, 1, 2)


@pytest.mark.parametrize("limit_kb", [20, 100, 1000])
def test_a_limit_on_file_sizes_rejects_nothing_and_a_later_run_continues(
    videos, tmp_path, limit_kb
):
    store = tmp_path / "store"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_kb * 1024, hard))
    said = r"cannot be written: a file would exceed the limit on its size; what is prepared stays"
    try:
        with pytest.raises(StoreWriteError, match=said):
            prepare(videos, store, detector=RedDetector())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not rejections(store) and len(Store(store)) == 0
    assert list((store / "clips").iterdir()) == []
    assert prepare(videos, store, detector=RedDetector())[:4] == (2, 0, 2, 0)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_no_record_is_written(videos, tmp_path, number, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("avsync.data.store.writer.write_text", full)
    with pytest.raises(StoreWriteError, match=r"cannot be written: (there is no space|the quota)"):
        prepare(videos, tmp_path / "store", detector="haar")
    assert not list((tmp_path / "store").rglob("*.json"))


def test_a_second_run_on_the_store_is_refused_while_the_first_one_works(videos, tmp_path):
    store = tmp_path / "store"

    class Second(RedDetector):
        def __call__(self, image: np.ndarray) -> list[Face]:
            with pytest.raises(InUseError, match=r"clips.jsonl is being written by process"):
                prepare(videos, store, detector=RedDetector())
            return super().__call__(image)

    assert prepare(videos, store, detector=Second())[:3] == (2, 0, 2)
    assert not list(store.glob(".*"))


@pytest.mark.parametrize("name", ["clips.jsonl", "rejected.csv"])
def test_a_file_that_avsync_did_not_write_is_not_replaced(videos, tmp_path, name):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).write_text('{"clip": "mine"}\n')
    with pytest.raises(FileExistsError, match=f"{name} exists and is not the table of a store"):
        prepare(videos, tmp_path / "store", detector=RedDetector())
    assert (tmp_path / "store" / name).read_text() == '{"clip": "mine"}\n'


def test_names_in_the_table_of_rejections_are_one_cell_and_no_formula(videos, tmp_path):
    videos.rename(tmp_path / "=anna")
    (tmp_path / "=anna" / "one.mp4").rename(tmp_path / "=anna" / "a\rb\n.mp4")
    prepare(tmp_path / "=anna", tmp_path / "store", detector="haar")
    text = (tmp_path / "store" / "rejected.csv").read_bytes()
    assert text.count(b"\n") == 3 and b"\r" not in text
    assert set(rejections(tmp_path / "store")) == {"'=anna/a\\rb\\n.mp4", "'=anna/two.mkv"}


def test_a_bad_file_is_a_rejection_and_stops_nothing(videos, tmp_path, make_clip):
    (videos / "text.mp4").write_text("this is no video")
    (videos / "empty.mov").touch()
    make_clip("anna/mute.mp4", audio=False)
    make_clip("anna/silent.mp4", clicks=())
    summary = prepare(videos, tmp_path / "store", detector=RedDetector())
    assert (summary.clips, summary.rejected) == (2, 4)
    assert rejections(tmp_path / "store") == {
        "anna/empty.mov": "damaged",
        "anna/text.mp4": "damaged",
        "anna/mute.mp4": "no_audio_stream",
        "anna/silent.mp4": "silence",
    }
    assert len(tree(tmp_path / "store")) == 12


def test_an_error_of_a_decoder_is_a_rejection_too(videos, tmp_path):
    class Breaking(RedDetector):
        def __call__(self, image: np.ndarray) -> list[Face]:
            if self.calls < 8:
                return super().__call__(image)
            self.calls = -(10**6)
            raise ArithmeticError("broken frame")

    summary = prepare(videos, tmp_path / "store", detector=Breaking())
    assert (summary.files, summary.rejected) == (2, 2 - summary.clips)
    assert rejections(tmp_path / "store")["anna/one.mp4"] == "damaged"


def test_no_face_and_a_short_face_are_different_reasons(videos, tmp_path):
    prepare(videos, tmp_path / "none", detector=RedDetector(last=0))
    assert set(rejections(tmp_path / "none").values()) == {"no_face"}
    (videos / "two.mkv").unlink()
    prepare(videos, tmp_path / "short", detector=RedDetector(last=4))
    assert rejections(tmp_path / "short") == {"anna/one.mp4": "too_short"}


def test_held_ticks_after_the_last_detection_are_left_out(tmp_path, make_clip):
    (tmp_path / "anna").mkdir()
    make_clip("anna/one.mp4", flashes=())
    prepare(tmp_path / "anna", tmp_path / "store", detector=RedDetector(last=6))
    assert len(Store(tmp_path / "store")[0].face) == 26


def test_boxes_are_in_pixels_of_the_source(tmp_path, make_clip):
    (tmp_path / "big").mkdir()
    make_clip("big/one.mp4", size=(2 * MAX_SIDE, 400), duration_s=1.2, flashes=())
    prepare(tmp_path / "big", tmp_path / "store", detector=RedDetector())
    clip = Store(tmp_path / "store")[0]
    np.testing.assert_allclose(clip.boxes[5], [0, 0, MAX_SIDE, 200], atol=8)


def test_several_processes_give_the_same_result(videos, tmp_path):
    for workers, name in ((0, "alone"), (2, "together")):
        prepare(videos, tmp_path / name, detector="haar", workers=workers)
    assert rejections(tmp_path / "alone") == rejections(tmp_path / "together")
    assert len(rejections(tmp_path / "alone")) == 2


class DeadlyPath(type(Path())):
    """Path that kills the worker process that opens it, as a crash in a decoder would."""

    def __fspath__(self):
        return str(self) if multiprocessing.parent_process() is None else os._exit(1)


def test_a_file_that_kills_its_process_is_rejected_and_the_others_are_prepared(videos, tmp_path):
    good = VideoSource(videos / "one.mp4", "one.mp4", "one")
    deadly = VideoSource(DeadlyPath("deadly.mp4"), "deadly.mp4", "deadly")
    start = partial(_start_worker, tmp_path / "s", PrepareRules("haar", 32, 1))
    outcomes = run_jobs(start, [(deadly, {}), (good, {})], workers=2)
    work = _with_rejections(outcomes, [deadly, good], tmp_path / "s")
    reasons = {source.key: record.rejected[0].detail for source, record in work}
    assert reasons == {
        "deadly": "reading it killed the process",
        "one": "no face was found in any frame",
    }


def test_files_of_equal_content_share_their_clips(videos, tmp_path, make_clip, monkeypatch):
    store, prepared = tmp_path / "s", []
    real = source_clips.prepare_file

    def recorded(path, *arguments):
        prepared.append(path.name)
        return real(path, *arguments)

    monkeypatch.setattr(source_clips, "prepare_file", recorded)
    prepare(videos, store, detector=RedDetector())
    before = {clip.source: np.array(clip.mouth) for clip in Store(store)}
    os.utime(videos / "one.mp4", (1, 1))
    (videos / "eva").mkdir()
    (videos / "two.mkv").rename(videos / "eva" / "two again.mkv")
    (videos / "copy.mkv").write_bytes((videos / "one.mp4").read_bytes())
    prepare(videos, store, detector=RedDetector())
    assert prepared == ["one.mp4", "two.mkv", "copy.mkv"]
    clips = {clip.source: clip for clip in Store(store)}
    assert set(clips) == {"anna/one.mp4", "anna/two.mkv", "anna/eva/two again.mkv", "anna/copy.mkv"}
    again = clips["anna/eva/two again.mkv"]
    assert again.speaker == "eva"
    np.testing.assert_array_equal(clips["anna/one.mp4"].mouth, before["anna/one.mp4"])
    np.testing.assert_array_equal(again.mouth, before["anna/two.mkv"])
    assert (store / "clips" / again.id.rsplit(".", 1)[0] / "0" / "mouth.npy").stat().st_nlink == 2


def test_clips_of_other_rules_are_not_shared(videos, tmp_path):
    prepare(videos, tmp_path / "s", detector=RedDetector())
    prepare(videos, tmp_path / "s", detector=RedDetector(), min_duration_s=9)
    assert set(rejections(tmp_path / "s").values()) == {"too_short"}


def test_shards_fill_one_store(videos, tmp_path, make_clip):
    make_clip("anna/three.mp4", duration_s=1.4)
    prepare(videos, tmp_path / "whole", detector=RedDetector())
    for number in (1, 2):
        done = prepare(videos, tmp_path / "s", detector=RedDetector(), shard=f"{number}/2")
        assert done[:2] == (3 - number, 0)
    for name in ("clips.jsonl", "rejected.csv"):
        assert (tmp_path / "s" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert prepare(videos, tmp_path / "s", detector=RedDetector(), shard="1/2")[:2] == (0, 2)
    assert not list((tmp_path / "s").glob(".*"))


class CountedRecords(dict):
    """Counts how often all records are gone through."""

    scans = 0

    def __iter__(self):
        self.scans += 1
        return super().__iter__()

    def items(self):
        self.scans += 1
        return super().items()

    def values(self):
        self.scans += 1
        return super().values()


def test_records_are_not_gone_through_for_every_file(tmp_path):
    records = CountedRecords({f"old-{n}": SourceRecord(f"{n}.mp4") for n in range(300)})
    for key in records:
        (tmp_path / "clips" / key).mkdir(parents=True)
    records.scans = 0
    # 300 files have changed, 100 are new.
    files = [VideoSource(tmp_path, f"{n}.mp4", f"new-{n}") for n in range(400)]
    _collect(iter((file, SourceRecord(file.name)) for file in files), records, tmp_path)
    assert records.scans <= 3
    assert sorted(records.keys()) == sorted(f"new-{n}" for n in range(400))
    assert list((tmp_path / "clips").iterdir()) == []


def test_tables_are_written_for_a_small_share_of_the_time(tmp_path, monkeypatch):
    now, written = [0.0], []
    monkeypatch.setattr(prepare_store.time, "monotonic", lambda: now[0])

    def write(store, records):
        written.append((now[0], len(records)))
        now[0] += 3.0  # A table of many rows.

    monkeypatch.setattr(prepare_store, "write_tables", write)

    def work():
        for n in range(1000):
            now[0] += 1.0
            yield VideoSource(tmp_path, f"{n}.mp4", f"new-{n}"), SourceRecord(f"{n}.mp4")

    _collect(work(), {}, tmp_path)
    starts = [start for start, _ in written]
    assert starts[0] <= 12
    assert np.diff(starts[:-1]) == pytest.approx(150, abs=4)
    assert written[-1][1] == 1000


def test_worker_processes_start_without_torch():
    code = f"import sys, {_start_worker.__module__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_keys_of_sources_do_not_change_between_releases(videos):
    # Otherwise every store would be prepared again.
    os.utime(videos / "one.mp4", ns=(1, 1))
    (videos / "one.mp4").write_bytes(b"x")
    os.utime(videos / "one.mp4", ns=(1, 1))
    stored = {
        (): "head=False",
        ("head",): "head=True",
        ("mesh",): "head=False, mesh=True",
        ("head", "mesh"): "head=True, mesh=True",
    }
    for crops, named in stored.items():
        rules = PrepareRules("haar", 32.0, 1.0, crops)
        source = plan_sources(videos, "folder", (), rules).sources[0]
        facts = f"detector='haar', min_face_px=32.0, min_duration_s=1.0, {named}"
        text = f"anna/one.mp4\n1\n1\nRules({facts})\n1"
        assert source.key == f"one-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def test_wrong_arguments_are_named(videos, tmp_path):
    with pytest.raises(ValueError, match="workers must be 0 or more, got -1"):
        prepare(videos, tmp_path / "s", workers=-1)
    with pytest.raises(ValueError, match="timeout_s needs workers"):
        prepare(videos, tmp_path / "s", timeout_s=3)
    with pytest.raises(ValueError, match="detector must be a name, not an object"):
        prepare(videos, tmp_path / "s", detector=RedDetector(), workers=2)
    with pytest.raises(ValueError, match="folder must be a folder with videos"):
        prepare(videos / "one.mp4", tmp_path / "s", detector="haar")
    with pytest.raises(ValueError, match="crops must be head, mesh, got face"):
        prepare(videos, tmp_path / "s", detector="haar", crops=("mesh", "face"))


def test_the_summary_is_a_sentence():
    text = PrepareSummary(3, 1, 5, 2, 90.0).describe()
    assert text.startswith("3 files prepared, 1 were done before: 5 clips, 1.5 minutes; 2 rejected")
