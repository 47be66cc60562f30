import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from avsync.pipelines.check import batch
from avsync.pipelines.check.batch import CheckOptions, check_files
from avsync.pipelines.workers import Pool
from avsync.tasks.calibration import Calibration
from avsync.tasks.registry import create_model
from avsync.weights import save, save_calibration

TINY = {"dim": 8, "mouth_channels": [4, 4, 4, 4], "mel_channels": [4, 4, 4, 4, 4]}
NAMES = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


@pytest.fixture
def offline(tmp_path):
    """Return options that need no network, with an untrained model."""
    torch.manual_seed(0)
    path = tmp_path / "weights" / "untrained.safetensors"
    save(path, create_model("dense_sync", config=TINY).state_dict(), TINY)
    return {"model": "dense_sync", "weights": path, "detector": "haar"}


@pytest.fixture
def clips(tmp_path, make_clip):
    """Write two clips without a face, one that is no video and one without audio."""
    (tmp_path / "in").mkdir()
    make_clip("in/a.mp4")
    (tmp_path / "in" / "b.mp4").write_text("this is no video")
    make_clip("in/c.mp4", audio=False)
    make_clip("in/d.mp4", duration_s=1.4)
    return tmp_path / "in"


@pytest.fixture
def checked(monkeypatch):
    """Record the names of the files that are checked, in order."""
    names = []
    check = batch.check

    def recorded(path, **options):
        names.append(Path(path).name)
        return check(path, **options)

    monkeypatch.setattr(batch, "check", recorded)
    return names


def reasons(results):
    return [(Path(result.file).name, result.reason) for result in results]


EXPECTED = list(zip(NAMES, ["no_face", "damaged", "no_audio_stream", "no_face"], strict=True))


def test_worker_processes_give_equal_results_in_the_same_order(clips, offline):
    alone = list(check_files([clips], **offline))
    assert reasons(alone) == EXPECTED
    assert list(check_files([clips], workers=2, **offline)) == alone


def test_a_worker_process_uses_one_thread(monkeypatch):
    counts = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    monkeypatch.setattr(batch.cv2, "setNumThreads", counts.append)
    batch._load_single_threaded(lambda index: counts.append, 0)
    assert counts == [1, 1]


class DeadlyPath(type(Path())):
    """Path that kills the worker process that opens it, like a crash in a decoder."""

    def __fspath__(self):
        return str(self) if multiprocessing.parent_process() is None else os._exit(1)


def test_a_file_that_kills_its_process_is_a_result_and_the_batch_continues(clips, offline):
    options = CheckOptions("dense_sync", str(offline["weights"]), "ebu", 1.0, "haar")
    videos = [clips / "a.mp4", DeadlyPath(clips / "b.mp4"), clips / "c.mp4"]
    results = list(batch._in_order(videos, options, Pool(workers=1), None))
    assert reasons(results) == EXPECTED[:3]
    assert results[1].status == "unreadable"
    assert results[1].detail == "reading it killed the process"


def test_an_error_of_a_decoder_is_a_result(clips, offline, monkeypatch):
    def broken(path, **options):
        raise ArithmeticError("impossible frame")

    monkeypatch.setattr(batch, "check", broken)
    (result,) = check_files([clips / "a.mp4"], **offline)
    assert (result.status, result.reason) == ("unreadable", "damaged")
    assert result.detail == "ArithmeticError: impossible frame"


def test_a_batch_that_is_stopped_resumes_where_it_was(clips, offline, checked, tmp_path):
    results = tmp_path / "results.jsonl"
    first = check_files([clips], results=results, **offline)
    assert reasons([next(first), next(first)]) == EXPECTED[:2]
    first.close()
    assert results.read_text().count("\n") == 2
    assert reasons(check_files([clips], results=results, resume=True, **offline)) == EXPECTED
    assert checked == NAMES


def test_resuming_a_finished_batch_changes_nothing(clips, offline, checked, tmp_path):
    results = tmp_path / "results.jsonl"
    once = list(check_files([clips], results=results, **offline))
    written = results.read_text()
    assert list(check_files([clips], results=results, resume=True, **offline)) == once
    assert results.read_text() == written
    assert checked == NAMES


def test_a_changed_file_is_checked_again(clips, offline, checked, tmp_path, make_clip):
    results = tmp_path / "results.jsonl"
    list(check_files([clips], results=results, **offline))
    make_clip("in/b.mp4", video=False)
    make_clip("in/d.mp4", duration_s=1.8)
    again = list(check_files([clips], results=results, resume=True, **offline))
    assert checked[4:] == ["b.mp4", "d.mp4"]
    assert again[1].reason == "no_video_stream"
    written = [json.loads(line)["reason"] for line in results.read_text().splitlines()]
    assert written == [result.reason for result in again]


def test_a_file_whose_content_was_checked_gets_a_copy_of_the_result(
    clips, offline, checked, tmp_path
):
    results = tmp_path / "results.jsonl"
    once = list(check_files([clips], results=results, **offline))
    os.utime(clips / "a.mp4", (1, 1))
    (clips / "d.mp4").rename(clips / "renamed.mp4")
    (clips / "renamed.mp4").with_suffix(".mkv").write_bytes((clips / "b.mp4").read_bytes())
    again = list(check_files([clips], results=results, resume=True, workers=1, **offline))
    assert reasons(again)[:3] == reasons(once)[:3]
    named = {Path(result.file).name: replace(result, file="") for result in again}
    assert named["a.mp4"] == replace(once[0], file="")
    assert named["renamed.mp4"] == replace(once[3], file="")
    # Another suffix may be read by another decoder; workers do not count in `checked`.
    assert named["renamed.mkv"].reason == "damaged"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    hashes = {Path(line["file"]).name: line["made_of"]["sha256"] for line in lines}
    assert hashes["renamed.mp4"] == hashes["d.mp4"]
    assert hashes["renamed.mkv"] == hashes["b.mp4"]
    assert checked == NAMES


def test_shards_check_each_file_once(clips, offline):
    first = list(check_files([clips], shard="1/3", **offline))
    second = list(check_files([clips], shard="2/3", **offline))
    third = list(check_files([clips], shard="3/3", **offline))
    assert reasons(first) == [EXPECTED[0], EXPECTED[3]]
    assert reasons([*second, *third]) == EXPECTED[1:3]


class SlowPath(type(Path())):
    """Path at which a worker process stops, like a network file system that hangs."""

    def __fspath__(self):
        if multiprocessing.parent_process() is not None:
            time.sleep(60)
        return str(self)


def test_a_file_that_takes_too_long_is_a_result_and_the_batch_continues(clips, offline):
    options = CheckOptions("dense_sync", str(offline["weights"]), "ebu", 1.0, "haar")
    videos = [SlowPath(clips / "a.mp4"), clips / "b.mp4"]
    pool = Pool(workers=1, timeout_s=2)
    slow, other = batch._in_order(videos, options, pool, None)
    assert (slow.status, slow.reason) == ("unreadable", "damaged")
    assert slow.detail == "it takes longer than 2 s"
    assert reasons([other]) == EXPECTED[1:2]


@pytest.mark.parametrize("change", [{"profile": "film"}, {"search_s": 0.5}, {"audio": 0}])
def test_other_options_check_again(clips, offline, checked, tmp_path, change):
    results, clip = tmp_path / "results.jsonl", [clips / "a.mp4"]
    list(check_files(clip, results=results, **offline))
    list(check_files(clip, results=results, resume=True, **offline, **change))
    assert checked == ["a.mp4", "a.mp4"]


def test_other_weights_check_again(clips, offline, checked, tmp_path):
    results, clip = tmp_path / "results.jsonl", [clips / "a.mp4"]
    list(check_files(clip, results=results, **offline))
    os.utime(offline["weights"], (1, 1))
    list(check_files(clip, results=results, resume=True, **offline))
    assert checked == ["a.mp4", "a.mp4"]


def test_a_new_calibration_checks_again(clips, offline, checked, tmp_path):
    results, clip = tmp_path / "results.jsonl", [clips / "a.mp4"]
    list(check_files(clip, results=results, **offline))
    save_calibration(offline["weights"], asdict(Calibration()))
    list(check_files(clip, results=results, resume=True, **offline))
    assert checked == ["a.mp4", "a.mp4"]


def test_a_model_object_is_identified_by_its_tensors(clips, offline, checked, tmp_path):
    results, clip = tmp_path / "results.jsonl", [clips / "a.mp4"]
    model = create_model("dense_sync", weights=offline["weights"])
    for _ in range(2):
        list(check_files(clip, model=model, detector="haar", results=results, resume=True))
    assert checked == ["a.mp4"]
    torch.nn.init.ones_(model.weight.bias)
    list(check_files(clip, model=model, detector="haar", results=results, resume=True))
    assert checked == ["a.mp4", "a.mp4"]


def test_worker_processes_need_the_name_of_a_model(clips, offline):
    model = create_model("dense_sync", weights=offline["weights"])
    with pytest.raises(ValueError, match="workers must be 0 for a model object"):
        check_files([clips], model=model, detector="haar", workers=2)


def test_a_name_that_is_not_valid_text_is_preserved(clips, offline, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(clips) + b"/caf\xe9 \n=1.mp4"))
    try:
        (clips / "a.mp4").rename(odd)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    results = tmp_path / "results.jsonl"
    (first,) = check_files([odd], results=results, workers=1, **offline)
    (again,) = check_files([odd], results=results, resume=True, **offline)
    assert first == again
    assert first.file == str(odd)


def test_a_kill_leaves_whole_lines_and_a_rerun_completes_the_batch(
    offline, tmp_path, make_clip, run
):
    for number in range(8):
        make_clip(f"{number}.mp4", duration_s=1 + number / 5)
    results = tmp_path / "results.jsonl"
    weights = "--model=dense_sync", f"--weights={offline['weights']}"
    options = *weights, "--detector=haar", f"--jsonl={results}"
    line = ["check", str(tmp_path), *options, "--resume"]
    killed = subprocess.Popen([sys.executable, "-m", "avsync", *line], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (results.exists() and results.stat().st_size) and time.monotonic() < until:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 1 <= results.read_bytes().count(b"\n") < 8
    code, _, _ = run(*line)
    assert code == 11
    files = [json.loads(line)["file"] for line in results.read_text().splitlines()]
    assert files == [str(tmp_path / f"{number}.mp4") for number in range(8)]


def test_wrong_arguments_are_named_before_anything_is_read(clips, offline):
    with pytest.raises(ValueError, match="workers must be 0 or more, got -1"):
        check_files([clips], workers=-1, **offline)
    with pytest.raises(ValueError, match="timeout_s must be positive, got 0"):
        check_files([clips], timeout_s=0, workers=1, **offline)
    with pytest.raises(ValueError, match="timeout_s needs workers"):
        check_files([clips], timeout_s=9, **offline)
    with pytest.raises(ValueError, match=r"shard must be i/n with 1 <= i <= n.*got '3/2'"):
        check_files([clips], shard="3/2", **offline)
    with pytest.raises(ValueError, match=r"search_s must lie in \(0, 5.0\] seconds, got 9"):
        check_files([clips], search_s=9, **offline)
    with pytest.raises(ValueError, match="results must name the file to resume from"):
        check_files([clips], resume=True, **offline)


def test_weights_that_cannot_be_used_end_the_batch(clips, tmp_path):
    page = tmp_path / "page.safetensors"
    page.write_text("<html>")
    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="is not a safetensors file but a web page"):
            list(check_files([clips], weights=page, detector="haar", workers=workers))
